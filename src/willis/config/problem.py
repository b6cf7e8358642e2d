"""Problems: what is wrong with a document, where, and what to do about it.

Inside this room a problem is a ``Fault``: it knows its path as a tuple and needs no line.
``load`` turns faults into ``Problem`` values, which is what everyone else sees.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile

from willis.model.service import NAME

Path = tuple[str | int, ...]
"""Where something stands in the document: keys and list positions from the root."""

_LONGEST_STEP = 200


class Severity(StrEnum):
    """An error keeps the document from being used; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a document."""

    path: str
    """Such as ``services.DicomRouting.pool[1].weight``."""
    line: int
    """Counted from 1; 0 where there is no line, as in a template's answer."""
    severity: Severity
    what: str
    """What is wrong and why, as a sentence."""
    remedy: str
    """What to do, as a sentence."""
    pointer: str = ""
    """The same place as a JSON pointer (RFC 6901); empty: the whole document."""

    def __str__(self) -> str:
        place = f"line {self.line}, {self.path}" if self.line else self.path
        return f"{self.severity}: {place}: {self.what} {self.remedy}"


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem before it has a line.

    ``rests_on`` names further places that the claim depends on: if one of them is itself
    at fault, the claim is about a stand-in and is not made. For a misspelt key it is the
    key that was meant.
    """

    path: Path
    what: str
    remedy: str
    severity: Severity = Severity.ERROR
    rests_on: tuple[Path, ...] = ()
    line: int | None = None
    """Only where the path does not tell it: YAML errors and keys written twice."""


def spell(path: Path) -> str:
    """The path as people read it. A key that is no name is quoted and cut short."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{_step(step)}" for step in path)
    return text.removeprefix(".") or "document"


def point(path: Path) -> str:
    """The path as a JSON pointer (RFC 6901). Below a key too long to be one it names what holds the key."""
    steps = [str(step).replace("~", "~0").replace("/", "~1") for step in path]
    whole = takewhile(lambda step: len(step) <= _LONGEST_STEP, steps)
    return "".join(f"/{step}" for step in whole)


def _step(key: str) -> str:
    return key if NAME.match(key) else shown(key)


def shown(text: str) -> str:
    """What was written, in quotes and short enough for a sentence."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def suggestion(word: str, known: Iterable[str]) -> str | None:
    """The known word that ``word`` most likely means, if one is close."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower()[:64], by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def did_you_mean(close: str | None) -> str:
    """The beginning of a remedy, from a ``suggestion``."""
    return f"Did you mean {close!r}? " if close else ""
