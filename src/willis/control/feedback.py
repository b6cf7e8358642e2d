"""Asks the servers of services with ``feedback``, and keeps what is believed of each."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterator, Mapping

from willis.health.agent import Asked, Silent, ask
from willis.model.config import Config
from willis.model.event import Condition, Severity
from willis.model.status import Place
from willis.plan.feedback import Opinion, heard, missed, share

log = logging.getLogger("willis.feedback")


class Listening:
    """Of one node. Made and used in the event loop's thread."""

    def __init__(self) -> None:
        self._config = Config()
        self._opinions: dict[Asked, Opinion] = {}
        self._reasons: dict[Asked, str] = {}
        self._tasks: dict[Asked, asyncio.Task[None]] = {}

    def follow(self, config: Config) -> None:
        """Ask whom the document names, and nobody else."""
        self._config = config
        wanted = {asked for _, asked in self._asked()}
        for asked in self._tasks.keys() - wanted:
            self._tasks.pop(asked).cancel()
            self._opinions.pop(asked, None)
            self._reasons.pop(asked, None)
        for asked in wanted - self._tasks.keys():
            self._tasks[asked] = asyncio.get_running_loop().create_task(self._keep_asking(asked))

    def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    def shares(self) -> Mapping[Place, float]:
        """Of their weight that servers want now, where that is less than whole."""
        found = {
            place: share(self._opinions[asked], asked.feedback.least)
            for place, asked in self._asked()
            if asked in self._opinions
        }
        return {place: part for place, part in found.items() if part < 1}

    def away(self) -> frozenset[Place]:
        """The servers that want no new connections."""
        return frozenset(p for p, asked in self._asked() if self._opinions.get(asked, Opinion()).away)

    def silent(self) -> Iterator[Condition]:
        """Those that do not answer, and so count as whole."""
        for place, asked in self._asked():
            if asked in self._reasons and self._opinions[asked].missed >= 3:
                what = f"its agent gives no answer, so it gets its whole weight: {self._reasons[asked]}"
                yield Condition(Severity.WARNING, str(place), what, "silence")

    def _asked(self) -> Iterator[tuple[Place, Asked]]:
        for service in self._config.services:
            if service.feedback is not None:
                for server in service.pool:
                    yield Place(server.host, service.name), Asked(server.address, service.feedback)

    async def _keep_asking(self, asked: Asked) -> None:
        while True:
            before = self._opinions.get(asked, Opinion())
            try:
                self._opinions[asked] = heard(before, await ask(asked))
                self._reasons.pop(asked, None)
            except Silent as silence:
                self._opinions[asked] = missed(before)
                self._reasons[asked] = str(silence)
            await asyncio.sleep(asked.feedback.interval_s * random.uniform(0.9, 1.1))  # noqa: S311
