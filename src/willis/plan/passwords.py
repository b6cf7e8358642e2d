"""What a password must be. Pure.

NIST SP 800-63B, 3.1.1: long, not guessable from its context, of any characters; no rules of
composition and no end by the calendar, which only make people write it down.
"""

from __future__ import annotations

SHORTEST = 12
LONGEST = 1000
_FEWEST_DIFFERENT = 5


def weakness(name: str, password: str) -> str | None:
    """What speaks against ``password`` for the user ``name``, in a sentence; None: nothing."""
    low = password.casefold()
    if not SHORTEST <= len(password) <= LONGEST:
        return f"a password has {SHORTEST} to {LONGEST} characters; a few words make a good one"
    if name.casefold() in low:
        return "the password holds the user's name; choose another"
    if len(set(low)) < _FEWEST_DIFFERENT:
        return "the password repeats few characters; choose another"
    return None
