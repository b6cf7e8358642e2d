"""History for graphs without Prometheus: 1 s for ten minutes, 10 s for three hours, 1 min for two days,
15 min for sixty days.

The two fine tiers are in memory and end with the engine. Each minute is on disk as soon as it is over,
so ``kill -9`` loses at most the one that runs. An engine that is stopped leaves that one's steps of 10 s
to the next, which makes one minute of them and of its own. Disk and arithmetic have a thread of their own.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from willis.control.changes import Unknown
from willis.control.database import StoreError
from willis.control.frames import Band, Frame, Frames, Key, fold_frames
from willis.control.history_store import KEPT_S, MINUTE, QUARTER, HistoryStore, folded
from willis.control.recorder import FINE, SECOND, Recorder
from willis.model.event import Condition, Severity

log = logging.getLogger("willis.history")

STEPS = (SECOND, FINE, MINUTE, QUARTER)
_REACH_S = {SECOND: 600, FINE: 10_800, **KEPT_S}
"""How far back a tier goes at most."""
SPAN_S = _REACH_S[QUARTER]
"""How far back a graph goes at most."""
_MOST_POINTS = 6_000
_HOUR = 3600 // MINUTE
_WAITING, _WAITING_BYTES = 3 * _HOUR, 48 << 20
"""Minutes that wait in memory, if the disk does not take them."""
_FULL_BYTES = 32 << 20
"""Minutes go into chunks once their hour is over, or they take this much: 5,500 series for an hour."""
_LATE = 5
"""So many minutes are made up for, if the thread was busy."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Graph:
    """A series over time."""

    step_s: int
    begin: int
    """Seconds since the epoch at which the first step begins."""
    points: tuple[Band | None, ...]
    """A step each; None: nothing was measured."""


def steps_for(span_s: int, at_least: int | None, *, of_host: bool) -> int:
    """The length of the steps for so long a time: at least so many seconds, else the finest kept so long.

    It is a longer one where that would be more than 6,000 points. Servers are not measured every second.
    """
    wanted = at_least or next(step for step in STEPS[of_host:] if span_s <= _REACH_S[step])
    return next(step for step in STEPS if step >= wanted and span_s <= step * _MOST_POINTS)


class History:
    """Of one node. Made and used in the event loop's thread."""

    def __init__(
        self,
        recorder: Recorder,
        path: Path,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.recorder = recorder
        self._path = path
        self._clock = clock
        self._steady = steady
        self._minutes = Frames(MINUTE, _WAITING, _WAITING_BYTES)
        self._newest: int | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="history")
        self._store: HistoryStore | None = None
        self._failure: str | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to measure and to keep."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._measure()), loop.create_task(self._keep())]

    async def close(self) -> None:
        """Stop, and leave what is known of the minute that runs to the next engine."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.keep()
        fines = self._fines(int(self._clock()) // MINUTE)
        if fines:
            await self._stored(lambda store: store.leave(fines), None)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._let_go)
        self._thread.shutdown()

    def conditions(self) -> Iterator[Condition]:
        """That the disk does not take the history."""
        if self._failure is not None:
            what = f"the history of the last hours is in memory only: {self._failure}"
            yield Condition(Severity.WARNING, "history", what, "unkept")

    async def resume(self) -> None:
        """Take up what was noted before the engine began."""
        nothing: list[Frame] = []
        for frame in await self._stored(HistoryStore.noted, nothing):
            self._minutes.add(frame)
        left = await self._stored(HistoryStore.left, nothing)
        self.recorder.resume(left)
        number = left[0].number * FINE // MINUTE if left else None
        if number is not None and number < int(self._clock()) // MINUTE:
            await self._end(number)

    def tick(self) -> None:
        """End the steps of the fine tiers that are over."""
        self.recorder.tick(self._clock(), self._steady())

    async def keep(self) -> None:
        """End the minutes that are over."""
        newest = int(self._clock()) // MINUTE - 1
        if newest == self._newest:
            return
        last, self._newest = self._newest, newest
        late = last is not None and 0 < newest - last <= _LATE
        for number in range(last + 1 if last is not None and late else newest, newest + 1):
            await self._end(number)

    async def read(self, key: Key, begin: float, end: float, step_s: int) -> Graph:
        """A series from ``begin`` to ``end`` (seconds since the epoch) in steps of a tier.

        What is older than a tier reaches comes from the next coarser one. Raises Unknown.
        """
        if not self.recorder.knows(key) and not await self._asked(lambda store: store.knows(key), False):
            raise Unknown(_unknown(key))
        first, last = int(begin) // step_s, int(end) // step_s
        points: list[Band | None] = [None] * (last - first)
        until = last * step_s
        for tier in (step for step in STEPS if step >= step_s):
            since = max(first * step_s, self._since(tier))
            if since >= until:
                continue
            found = await self._tier(key, tier, since // tier, -(-until // tier))
            for number in range(-(-since // step_s), until // step_s):
                points[number - first] = found.get(number * step_s // tier)
            until = -(-since // step_s) * step_s
        return Graph(step_s, first * step_s, tuple(points))

    def _since(self, step: int) -> int:
        """Seconds since the epoch from which on a tier knows what there was."""
        if step in KEPT_S:
            return int(self._clock()) - _REACH_S[step]
        frames = self.recorder.seconds if step == SECOND else self.recorder.fines
        return int(self._clock()) if frames.since is None else frames.since

    async def _tier(self, key: Key, step: int, begin: int, end: int) -> dict[int, Band]:
        """A series by the numbers of a tier's steps."""
        if step == SECOND:
            return _of(key, self.recorder.seconds.within(begin, end))
        if step == FINE:
            return _of(key, self.recorder.fines.within(begin, end))
        nothing: dict[int, Band] = {}
        found = await self._asked(lambda store: store.read(key, step, begin, end), nothing)
        if step == MINUTE:
            return found | _of(key, self._minutes.within(begin, end))
        return found | await self._newest_quarters(key, begin, end)

    async def _newest_quarters(self, key: Key, begin: int, end: int) -> dict[int, Band]:
        """Those of minutes that are in no chunk yet, and of their hours."""
        if self._minutes.since is None:
            return {}
        minutes = QUARTER // MINUTE
        begin = max(begin, self._minutes.since // 3600 * 3600 // QUARTER)
        known = await self._tier(key, MINUTE, begin * minutes, end * minutes)
        bands = {n: folded(known.get(n * minutes + i) for i in range(minutes)) for n in range(begin, end)}
        return {number: band for number, band in bands.items() if band is not None}

    async def _measure(self) -> None:
        while True:
            await asyncio.sleep(SECOND - self._clock() % SECOND)
            self.tick()

    async def _keep(self) -> None:
        await self.resume()
        while True:
            await self.keep()
            await asyncio.sleep(SECOND)

    async def _end(self, number: int) -> None:
        """Fold a minute, note it, and put those before it into chunks once there are enough."""
        fines = self._fines(number)
        if not fines:
            return
        minute = await self._in_thread(lambda: fold_frames(number, fines))
        full = self._minutes.size > _FULL_BYTES
        waiting = [f for f in self._minutes if f.number < number]
        due = [f for f in waiting if full or f.number // _HOUR != number // _HOUR]
        self._minutes.add(minute)
        if await self._stored(lambda store: _kept(store, minute, due, self._clock()), False):
            self._minutes.drop(due)

    def _fines(self, minute: int) -> list[Frame]:
        steps = MINUTE // FINE
        return self.recorder.fines.within(minute * steps, (minute + 1) * steps)

    async def _stored(self, work: Callable[[HistoryStore], T], otherwise: T) -> T:
        """Write, or return ``otherwise`` if the disk fails, which becomes a condition."""
        try:
            found = await self._call(work)
        except StoreError as error:
            if self._failure is None:
                log.error("the history is not kept: %s", error)  # noqa: TRY400 - the text says all
            self._failure = str(error)
            return otherwise
        self._failure = None
        return found

    async def _asked(self, work: Callable[[HistoryStore], T], otherwise: T) -> T:
        """What the disk says, or ``otherwise``: a graph of what is in memory is better than none."""
        try:
            return await self._call(work)
        except StoreError:
            return otherwise

    async def _call(self, work: Callable[[HistoryStore], T]) -> T:
        """Work on the file, which is opened when it is wanted first. Raises StoreError."""

        def there() -> T:
            if self._store is None:
                self._store = HistoryStore(self._path)
            return work(self._store)

        return await self._in_thread(there)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _let_go(self) -> None:
        if self._store is not None:
            self._store.close()


def _kept(store: HistoryStore, minute: Frame, due: list[Frame], now: float) -> bool:
    if due:
        store.keep(due)
        store.prune(now)
    store.note(minute)
    return True


def _of(key: Key, frames: list[Frame]) -> dict[int, Band]:
    bands = ((frame.number, frame.of(key)) for frame in frames)
    return {number: band for number, band in bands if band is not None}


def _unknown(key: Key) -> str:
    service, host = key
    what = f"service {service!r} with a real server on host {host!r}" if host else f"service {service!r}"
    return f"there is no history of {what}; see 'willis status'"
