"""Asks the engines what servers refused to clients, and keeps who is busy because of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from willis.control.loop import Loop
from willis.engines.port import EngineError, Refusals
from willis.model.refusal import Refusal
from willis.model.status import Place
from willis.plan.refusals import busy

_EVERY_S = 2.0


class Refusing:
    """Of one node. Made and used in the event loop's thread; it waits in the engines' own threads."""

    def __init__(self, loop: Loop, hold_s: float = 60.0, clock: Callable[[], float] = time.time) -> None:
        """``hold_s``: how long after its last refusal a server stays busy; at most the counted minute."""
        self._loop = loop
        self._hold_s = hold_s
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to ask."""
        self._task = asyncio.get_running_loop().create_task(self._keep_asking())

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def look(self) -> None:
        """Ask once. Raises EngineError."""
        refused: dict[Place, tuple[Refusal, ...]] = {}
        for keeper in self._loop.keepers:
            if isinstance(keeper.engine, Refusals):
                for (service, host), told in (await keeper.call(keeper.engine.refusals)).items():
                    refused[Place(host, service)] = told
        status = self._loop.status
        found = busy(status.busy, refused, self._clock(), self._hold_s)
        if found != status.busy:
            self._loop.learn(replace(status, busy=found))

    async def _keep_asking(self) -> None:
        while True:
            # The loop's own pass tells of a failure; who was busy stays so until somebody answers.
            with suppress(EngineError):
                await self.look()
            await asyncio.sleep(_EVERY_S)
