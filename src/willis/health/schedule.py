"""Looks at every target in time: one timer, and at most ``most`` looks at once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping

from willis.health.looks import Looks
from willis.health.timetable import Due, Timetable
from willis.model.check import Check, Target
from willis.plan.verdict import Result

Look = Callable[[Target, Check], Awaitable[Result]]


class Schedule:
    """Calls ``on_result`` after each look at each target. Made and used in one event loop's thread.

    ``most`` looks run at once; further ones wait their turn. ``on_result`` must not block.
    """

    def __init__(
        self,
        on_result: Callable[[Target, Result], None],
        *,
        look: Look | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        most: int = 200,
    ) -> None:
        self._on_result = on_result
        self._look = look or Looks().look
        self._clock = clock
        self._timetable = Timetable(chance)
        self._most = most
        self._running: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at: float | None = None
        self._closed = False

    def set(self, targets: Mapping[Target, Check]) -> None:
        """Look at these targets and no others; those that stay are not disturbed."""
        self._timetable.set(targets, self._clock())
        self._go_on()

    async def look(self, target: Target, check: Check) -> Result:
        """One look now, beside those that are due."""
        return await self._look(target, check)

    def close(self) -> None:
        """Look no more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._running:
            task.cancel()

    def _go_on(self) -> None:
        """Start what is due, and come back when the next look is."""
        if self._closed:
            return
        self._begin()
        due = self._timetable.next_due() if len(self._running) < self._most else None
        if due == self._wakes_at:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wakes_at = due
        if due is not None:
            pause = max(0.0, due - self._clock())
            self._timer = asyncio.get_running_loop().call_later(pause, self._wake)

    def _wake(self) -> None:
        self._wakes_at = None
        self._go_on()

    def _begin(self) -> None:
        """Start what is due, as far as there is room."""
        while len(self._running) < self._most:
            due = self._timetable.take(self._clock())
            if due is None:
                return
            task = asyncio.get_running_loop().create_task(self._one(due))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._go_on()

    async def _one(self, due: Due) -> None:
        result = None
        try:
            result = await self._look(due.aim, due.check)
        finally:
            wanted = self._timetable.done(due.target, result, self._clock())
        if wanted and result is not None:
            self._on_result(due.target, result)
