"""The bench: every figure the README claims, each against its anchor in the same run."""
