"""What the twin says when it refuses or fails: always a sentence with what, why and what to do."""

from __future__ import annotations


class LabError(Exception):
    """The twin cannot do what was asked. The text is for people."""
