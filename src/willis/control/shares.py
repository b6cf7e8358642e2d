"""Keeps the shares of servers: those that came back grow, and those that say so get less."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from willis.control.feedback import Listening
from willis.control.loop import Loop
from willis.model.check import Target
from willis.model.status import Admin, Place, Verdict
from willis.plan.shares import Returns, full, shares
from willis.plan.verdict import GOOD, Track

_TICK_S = 1.0


class Shares:
    """Of one node. Made and used in the event loop's thread."""

    def __init__(self, loop: Loop, listening: Listening, clock: Callable[[], float] = time.time) -> None:
        self._loop = loop
        self._listening = listening
        self._clock = clock
        self._returns = Returns()
        self._admin = loop.status.admin
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to count."""
        self._task = asyncio.get_running_loop().create_task(self._count())

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def saw(self, target: Target, before: Track, after: Track) -> None:
        """Note a recovery. A server that is seen for the first time has not come back."""
        was, now = before.health.verdict, after.health.verdict
        if now in GOOD and was not in GOOD and was is not Verdict.UNKNOWN:
            self._returns.recovered[target] = self._clock()

    def look(self) -> None:
        """Once: note who came back from an order, and what everybody gets now."""
        status = self._loop.status
        for place in _returned(self._admin, status.admin):
            self._returns.ordered[place] = self._clock()
        self._admin = status.admin
        slow = shares(self._loop.config, self._returns, self._clock())
        wanted = self._listening.shares()
        found = {p: slow.get(p, 1.0) * wanted.get(p, 1.0) for p in slow.keys() | wanted.keys()}
        away = self._listening.away()
        active: dict[Place, int] = {}
        if any(service.watermarks for service in self._loop.config.services):
            active = {Place(host, name): each.active for (name, host), each in self._loop.traffic().items()}
        marked = full(self._loop.config, status.full, active)
        if (found, away, marked) != (status.shares, status.away, status.full):
            self._loop.learn(replace(status, shares=found, away=away, full=marked))

    async def _count(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(_TICK_S)


def _returned(before: Mapping[Place, Admin], after: Mapping[Place, Admin]) -> list[Place]:
    return [place for place in before if place not in after]
