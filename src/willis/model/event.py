"""Events: what was or is out of the ordinary, since when, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """``error``: clients are hurt, or will be. ``warning``: look soon. ``info``: somebody meant it so."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that holds now and may end."""

    severity: Severity
    about: str
    """What it is about: a service, ``SERVICE/HOST``, a host, an engine."""
    what: str
    """In a sentence without the full stop, naming nothing of a patient."""
    topic: str = ""
    """What stays the same while ``what`` changes, such as days that are left; empty: ``what`` itself."""


@dataclass(frozen=True, slots=True)
class Event:
    """A condition with its time. Numbers only grow."""

    number: int
    severity: Severity
    about: str
    what: str
    since: float
    """Seconds since the epoch."""
    ended: float | None = None
    """None: it still holds."""
    times: int = 1
    """How often it came back shortly after it had ended, and was taken for the same."""
