"""When to look at which target. Clock and chance come from outside, so this is plain arithmetic.

The first look is due at once. The second falls anywhere in one interval, so that
targets which appeared together drift apart; from then on a look begins one interval, or up
to 5 % less, after the last one began, on a tick that it shares with others. While the row of
successes or failures is shorter than the verdict needs, looks begin 0.3 s after each other, or at
once where the last one took longer: a killed server is out after one interval and one quick
repeat, a silent one after at most one interval and ``fall`` time-outs.

A target with a deep question is asked the light one only while it is settled and well, and
after ``every`` of those the deep one again. So a server that only the deep look finds ill
never comes back by a light one.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from willis.model.check import Check, Target
from willis.plan.verdict import Result

_TICK = 0.025
"""Of the interval: to wake costs more than to look, so looks begin together, on ticks."""
_REPEAT_S = 0.3


class Due(NamedTuple):
    """A look that is due."""

    target: Target
    check: Check
    aim: Target
    """Where to look and what to ask now."""


@dataclass(slots=True)
class _Entry:
    target: Target
    check: Check
    due: float = 0.0
    plan: int = 0
    """Which of the plans counts; 0: none, since a look is under way or nobody asks any more."""
    began: float = 0.0
    """When the last look did."""
    looks: int = 0
    ok: bool | None = None
    row: int = 0
    """How many results like the last one came in a row."""
    deep: bool = False
    """Whether the look that is under way asks the deep question."""
    lights: int = 0
    """Light looks since the last deep one."""

    def wants_deep(self) -> bool:
        deep = self.target.deep
        if deep is None:
            return False
        settled = self.ok is True and self.row >= self.check.rise
        return not settled or self.lights >= deep.every


class Timetable:
    """The targets and their next looks. ``chance`` gives numbers in 0 to 1 (1 excluded)."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._entries: dict[Target, _Entry] = {}
        self._heap: list[tuple[float, int, _Entry]] = []
        self._planned = 0
        """Looks planned so far; breaks ties, since addresses of two families do not compare."""

    def set(self, targets: Mapping[Target, Check], now: float) -> None:
        """Look at ``targets`` and no others. A target that stays keeps its row; one whose
        interval got shorter is looked at within the new one.
        """
        for gone in self._entries.keys() - targets.keys():
            self._entries.pop(gone).plan = 0
        for target, check in targets.items():
            entry = self._entries.get(target)
            if entry is None:
                entry = self._entries[target] = _Entry(target, check)
                self._plan(entry, now)
            elif entry.check != check:
                entry.check = check
                if entry.plan and entry.due > now + check.interval_s:
                    self._plan(entry, now + self._chance() * check.interval_s)

    def next_due(self) -> float | None:
        """When the next look is due; None if there is none to wait for."""
        while self._heap and self._heap[0][2].plan != self._heap[0][1]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, now: float) -> Due | None:
        """One target that is due; it is busy until ``done``."""
        due = self.next_due()
        if due is None or due > now:
            return None
        entry = heapq.heappop(self._heap)[2]
        entry.plan, entry.began = 0, now
        entry.deep = entry.wants_deep()
        target = entry.target
        return Due(target, entry.check, target.deeper() if entry.deep else target)

    def done(self, target: Target, result: Result | None, now: float) -> bool:
        """Plan the next look. ``result`` None: the look was broken off. False: nobody asks any more."""
        entry = self._entries.get(target)
        if entry is None or entry.plan:
            return False
        entry.lights = 0 if entry.deep else entry.lights + 1
        if result is not None and result.counts:
            entry.row = entry.row + 1 if entry.ok is result.ok else 1
            entry.ok = result.ok
        entry.looks += 1
        self._plan(entry, self._following(entry, now))
        return True

    def _following(self, entry: _Entry, now: float) -> float:
        """When to look again."""
        interval = entry.check.interval_s
        needed = entry.check.rise if entry.ok else entry.check.fall
        if entry.looks == 1:
            entry.row = needed
            return now + interval * self._chance()
        quick = min(interval, _REPEAT_S)
        if entry.ok is not None and entry.row < needed:
            return max(now, entry.began + quick)
        # A server that is slow or silent for longer than the interval gets a rest between two looks.
        tick = interval * _TICK
        due = (math.floor((entry.began + interval) / tick) - round(self._chance())) * tick
        return max(now + quick, due)

    def _plan(self, entry: _Entry, due: float) -> None:
        self._planned += 1
        entry.due, entry.plan = due, self._planned
        heapq.heappush(self._heap, (due, self._planned, entry))
