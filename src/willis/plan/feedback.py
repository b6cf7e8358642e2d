"""What servers say of themselves, and how far they are believed. Pure.

The convention is HAProxy's ("agent-check"), which appliances share: words by spaces or
commas, of which ``NN%`` is a share of the weight and ``drain``, ``maint``, ``down``,
``stopped``, ``failed``, ``up`` and ``ready`` are states.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace

_AWAY = frozenset({"drain", "maint", "down", "stopped", "fail", "failed"})
_HERE = frozenset({"up", "ready"})
_PERCENT = re.compile(r"\A([0-9]{1,3})%\Z")
_WORDS = re.compile(r"[\s,;]+")
_NEWEST = 0.4
"""How much of a smoothed value the newest one makes: a moment of load moves few clients."""
_PATIENCE = 3
"""So many questions may stay without answer until a server counts as whole again."""


class Unreadable(ValueError):
    """What a server said is no feedback; the text says why."""


@dataclass(frozen=True, slots=True)
class Said:
    """One answer."""

    percent: int | None = None
    """0 to 100; None: not mentioned."""
    away: bool | None = None
    """Whether it wants no new connections; None: not mentioned."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What is believed of one server now."""

    percent: float = 100.0
    away: bool = False
    missed: int = 0


def read_line(text: str) -> Said:
    """A line of an agent. Raises Unreadable."""
    words = [word.lower() for word in _WORDS.split(text.split("#")[0].strip()) if word]
    percent, away = None, None
    for word in words:
        number = _PERCENT.match(word)
        if number:
            percent = min(int(number[1]), 100)
        elif word in _AWAY:
            away = True
        elif word in _HERE:
            away = bool(away)
        elif not word.startswith("maxconn:"):
            raise Unreadable("it says a word that no agent knows")
    if percent is None and away is None:
        raise Unreadable("it says neither a percentage nor a state")
    return Said(percent, away)


def read_json(text: str) -> Said:
    """The object of an HTTP server. Raises Unreadable."""
    try:
        found = json.loads(text)
    except ValueError:
        raise Unreadable("its answer is no JSON") from None
    if not isinstance(found, dict):
        raise Unreadable("its answer is no JSON object")
    percent, state = found.get("percent"), found.get("state")
    if isinstance(percent, bool) or not isinstance(percent, int | float | None):
        raise Unreadable("its 'percent' is no number")
    away = None if state is None else read_line(str(state)[:64]).away
    if percent is None:
        if away is None:
            raise Unreadable("it says neither 'percent' nor 'state'")
        return Said(None, away)
    if percent != percent or not 0 <= percent <= 100:
        raise Unreadable("its 'percent' is not 0 to 100")
    return Said(round(percent), away)


def heard(opinion: Opinion, said: Said) -> Opinion:
    """After an answer: smoothed, so that no single answer moves much."""
    percent = opinion.percent
    if said.percent is not None:
        percent += (said.percent - percent) * _NEWEST
    away = opinion.away if said.away is None else said.away
    return Opinion(percent, away)


def missed(opinion: Opinion) -> Opinion:
    """After silence or rubbish. Who stays silent counts as whole: a dead agent is no dead server."""
    after = replace(opinion, missed=opinion.missed + 1)
    return after if after.missed < _PATIENCE else Opinion(missed=after.missed)


def share(opinion: Opinion, least: int) -> float:
    """Of the weight, in steps of 5 %, so that small changes change nothing."""
    percent = round(max(opinion.percent, least) / 5) * 5
    return max(percent, 1) / 100
