"""The loop and what it remembers: revisions, administrative states, the last verdicts."""
