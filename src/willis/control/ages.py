"""How long the oldest connections have lasted: asked of the engines when somebody wants to know.

An engine goes through all its connections for the answer, so it is asked at most every five
seconds. One that fails or is busy for long leaves the answer unknown; nobody waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from willis.control.loop import Keeper, Loop
from willis.engines.port import Ages, EngineError

log = logging.getLogger("willis.ages")

_FRESH_S = 5.0
_PATIENCE_S = 2.0

Found = dict[tuple[str, str], float]


class Oldest:
    """Of one node. Made and used in the event loop's thread."""

    def __init__(self, loop: Loop, clock: Callable[[], float] = time.monotonic) -> None:
        self._loop = loop
        self._clock = clock
        self._asked: dict[str, tuple[float, asyncio.Task[Found]]] = {}

    async def longest(self) -> Found:
        """Seconds by (service, host); who carries nothing, or is not known in time, is not there."""
        tasks = {self._ask(k, k.engine) for k in self._loop.keepers if isinstance(k.engine, Ages)}
        if not tasks:
            return {}
        done, _ = await asyncio.wait(tasks, timeout=_PATIENCE_S)
        found: Found = {}
        for task in done:
            for place, seconds in task.result().items():
                found[place] = max(found.get(place, 0.0), seconds)
        return found

    async def carried(self, host: str, services: Iterable[str]) -> dict[str, object]:
        """What a host carries in these services: connections open now, and how long the oldest has lasted."""
        places = {(service, host) for service in services}
        longest = await self.longest()
        ages = [seconds for place, seconds in longest.items() if place in places]
        counters = (
            k.traffic[place].active for k in self._loop.keepers for place in places & k.traffic.keys()
        )
        return {"active": sum(counters), "longest_s": max(ages, default=None)}

    def _ask(self, keeper: Keeper, engine: Ages) -> asyncio.Task[Found]:
        """The answer that is under way or still fresh, or a new one."""
        at, task = self._asked.get(engine_name := keeper.engine.name, (0.0, None))
        if task is None or (task.done() and self._clock() - at >= _FRESH_S):
            task = asyncio.get_running_loop().create_task(_read(keeper, engine))
            self._asked[engine_name] = (self._clock(), task)
        return task


async def _read(keeper: Keeper, engine: Ages) -> Found:
    try:
        return await keeper.call(engine.longest)
    except EngineError as error:
        log.warning("how long connections have lasted is not known: %s", error)
        return {}
