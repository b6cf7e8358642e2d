"""The loop: compile, observe, diff, apply, for every engine on its own, until nothing differs.

Events (a new document, a verdict, a drain) only wake it; it always recomputes from
Config and Status, so a lost or doubled event does no harm and drift heals by itself.
Each engine has a thread and a lock of its own: one that must wait (a proxy between two
reloads) never delays another's health flips.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from willis.control.budget import Budget
from willis.control.gains import Place, Reading
from willis.control.timings import Timings
from willis.engines.port import Engine, EngineError, Traffic
from willis.model.config import Config
from willis.model.status import Status
from willis.plan.diff import Change, diff

log = logging.getLogger("willis.loop")

_REPEAT_S = 1.0
"""Seconds between two passes that nobody asked for; they find drift."""
_LONGEST_S = 5.0
"""The same, where a pass costs so much that six engines would use all of a CPU for looking alone."""
_PACE_S = 0.1
"""Seconds from the begin of a pass that news asked for to the next: the first news acts at once, and a
thousand flapping servers cost ten passes a second and not hundreds."""
_SHARE = 20
"""After a pass that used t of a CPU an engine rests 20 t: up to a second before it takes news, and up to
``_LONGEST_S`` before a pass that nobody asks for."""
_LOGGED = 10
"""Lines a minute in the log of what an engine changed."""

T = TypeVar("T")


class Keeper:
    """Keeps one engine at what Config and Status want."""

    def __init__(self, engine: Engine, timings: Timings) -> None:
        self.engine = engine
        self._timings = timings
        self.sentence = f"{engine.name}: not started"
        self.failed = False
        self.reading = Reading()
        """Counters as of the last pass."""
        self.alarms: tuple[str, ...] = ()
        """As of the last pass."""
        self.spent_s = 0.0
        """Of a CPU, in the last pass."""
        self._follows: tuple[Config, Status] | None = None
        self._budget = Budget(_LOGGED)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=engine.name)
        self.wake = asyncio.Event()

    @property
    def traffic(self) -> Mapping[Place, Traffic]:
        """Counters by (service, host) as of the last pass."""
        return self.reading.traffic

    def settled(self, config: Config, status: Status) -> bool:
        """Whether the engine has taken just these: not failed, and nothing newer waits for its next pass."""
        return not self.failed and self._follows == (config, status)

    async def call(self, work: Callable[..., T], *arguments: object) -> T:
        """Run ``work`` in the engine's own thread, one thing at a time."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def rehearse(self, config: Config, status: Status) -> tuple[Change, ...]:
        """What a pass would change now, if the engine would take it. Raises EngineError."""
        return await self.call(self._rehearse, config, status)

    async def converge(self, config: Config, status: Status) -> None:
        """One pass. Raises EngineError."""
        await self.call(self._converge, config, status)

    def close(self) -> None:
        self._thread.shutdown(wait=True)
        self.engine.close()

    def _rehearse(self, config: Config, status: Status) -> tuple[Change, ...]:
        want = self.engine.compile(config, status)
        self.engine.check(want)
        return diff(self.engine.name, self.engine.observe(), want)

    def _changes(self, config: Config, status: Status) -> tuple[Change, ...]:
        want = self.engine.compile(config, status)
        return diff(self.engine.name, self.engine.observe(), want)

    def _converge(self, config: Config, status: Status) -> None:
        began, spent = time.monotonic(), time.thread_time()
        try:
            self._pass(config, status)
        finally:
            self.spent_s = time.thread_time() - spent
            self._timings.passed(self.engine.name, time.monotonic() - began)

    def _pass(self, config: Config, status: Status) -> None:
        self.engine.refresh()
        changes = self._changes(config, status)
        self.sentence = _summary(self.engine.name, changes)
        if changes:
            self.engine.apply(changes)
            self._tell()
        elif self.failed:
            log.info("%s again, as it should be", self.sentence)
        self.failed = False
        self._follows = (config, status)
        self.reading = Reading(time.monotonic(), self.engine.traffic())
        self.alarms = self.engine.alarms()

    def _tell(self) -> None:
        if not self._budget.lets():
            return
        left_out = self._budget.told()
        more = f", after {left_out} more passes that changed something" if left_out else ""
        log.info("%s%s", self.sentence, more)

    def report(self, error: Exception) -> None:
        """Keep a failed pass as the engine's sentence, and log it once; the next pass tries again."""
        sentence = f"{self.engine.name}: {error}"
        if not self.failed or sentence != self.sentence:
            log.error("%s", sentence)
        self.sentence, self.failed = sentence, True


class Loop:
    """Config and Status, and the engines that follow them. Engines stand from inner to outer."""

    def __init__(self, engines: Sequence[Engine], config: Config, status: Status) -> None:
        self.config = config
        self.status = status
        self.timings = Timings()
        self.keepers = tuple(Keeper(engine, self.timings) for engine in engines)
        self._adopting = False
        self._added_up: tuple[tuple[Reading, ...], Mapping[Place, Traffic]] = (
            tuple(keeper.reading for keeper in self.keepers),
            {},
        )
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to converge in the background."""
        self._tasks = [asyncio.create_task(self._keep(keeper)) for keeper in self.keepers]

    def traffic(self) -> Mapping[Place, Traffic]:
        """Counters by (service, host) of all engines together, as of each one's last pass."""
        readings = tuple(keeper.reading for keeper in self.keepers)
        if any(one is not other for one, other in zip(readings, self._added_up[0], strict=True)):
            self._added_up = readings, _added_up(readings)
        return self._added_up[1]

    def open_now(self) -> dict[Place, int]:
        """Connections open by (service, host), at servers that left too, as of each engine's last pass."""
        return {place: counted.active for place, counted in self.traffic().items()}

    def wake(self) -> None:
        """Have every engine look at Config and Status again now."""
        for keeper in self.keepers:
            keeper.wake.set()

    def learn(self, status: Status) -> None:
        """Take a new Status."""
        self.status = status
        self.wake()

    async def converge(self) -> None:
        """One pass of every engine, inner to outer. Raises EngineError at the first that fails."""
        for keeper in self.keepers:
            await keeper.converge(self.config, self.status)

    async def adopt(self, config: Config) -> None:
        """Make ``config`` the one in force, or stay with the old one and raise EngineError."""
        old, self.config = self.config, config
        self._adopting = True
        began = time.monotonic()
        try:
            await self.converge()
        except EngineError:
            self.config = old
            self.wake()
            raise
        finally:
            self._adopting = False
        self.timings.applied(time.monotonic() - began)

    async def close(self) -> None:
        """Stop converging and let go of the engines; traffic goes on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for keeper in self.keepers:
            keeper.close()

    async def _keep(self, keeper: Keeper) -> None:
        news = False
        while True:
            began = time.monotonic()
            keeper.wake.clear()
            try:
                await keeper.converge(self.config, self.status)
            except EngineError as error:
                keeper.report(error)
            except Exception as error:  # noqa: BLE001 - the one broad catch: the loop never dies
                log.exception("%s: a pass failed unexpectedly", keeper.engine.name)
                keeper.report(error)
            if news:
                await asyncio.sleep(_pause(time.monotonic() - began, keeper.spent_s))
            news = await _woken(keeper)
            # A change on its way looks at every engine itself, from inner to outer.
            while self._adopting and not news:
                news = await _woken(keeper)


async def _woken(keeper: Keeper) -> bool:
    """Wait until an engine should pass again: True for news, False if only time went by."""
    # Not wait_for, which before Python 3.12 may lose a cancellation: the engine would never end.
    with suppress(TimeoutError):
        async with asyncio.timeout(min(_LONGEST_S, max(_REPEAT_S, _SHARE * keeper.spent_s))):
            await keeper.wake.wait()
    return keeper.wake.is_set()


def _added_up(readings: Sequence[Reading]) -> dict[Place, Traffic]:
    found: dict[Place, Traffic] = {}
    for reading in readings:
        for place, counted in reading.traffic.items():
            found[place] = found[place] + counted if place in found else counted
    return found


def _pause(took_s: float, spent_s: float) -> float:
    """How long an engine rests after a pass that news asked for."""
    return min(_REPEAT_S, max(0.0, _PACE_S - took_s, _SHARE * spent_s))


def _summary(engine: str, changes: Sequence[Change]) -> str:
    if not changes:
        return f"{engine}: nothing to do"
    listed = ", ".join(f"{change.action} {change.key}" for change in changes[:4])
    more = f" and {len(changes) - 4} more" if len(changes) > 4 else ""
    return f"{engine}: {listed}{more}"
