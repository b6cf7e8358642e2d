"""Decisions, pure: who takes new connections, what differs, and whether it may be done."""
