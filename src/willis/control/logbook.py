"""What goes on now: the access log, and ``top``: every service's load in the last seconds and minute."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict

from willis.control.changes import Refused, Unknown
from willis.control.collector import Collector
from willis.control.loop import Loop
from willis.control.rates import Rates
from willis.engines.port import Logs, Traffic
from willis.model.access import Access
from willis.model.service import VirtualService

_SAMPLE_S = 1.0


class Logbook:
    """Of one node. Made and used in the event loop's thread."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._rates = Rates()
        self._collector = next(
            (Collector(k, k.engine) for k in loop.keepers if isinstance(k.engine, Logs)), None
        )
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to follow and to measure."""
        if self._collector is not None:
            self._collector.start()
        self._task = asyncio.get_running_loop().create_task(self._measure())

    def close(self) -> None:
        """Stop; traffic goes on."""
        if self._collector is not None:
            self._collector.close()
        if self._task is not None:
            self._task.cancel()

    def follow(self) -> None:
        """Take lines of the services that the running document has."""
        if self._collector is not None:
            self._collector.know([s.name for s in self._loop.config.services])

    def counts(self) -> Mapping[tuple[str, str], tuple[int, int]]:
        """Lines since the start, and those of what failed, by (service, host); no host: of the service."""
        return {} if self._collector is None else self._collector.counts

    def last(self, name: str, most: int) -> list[dict[str, object]]:
        """The newest lines of a service, oldest first. Raises Refused."""
        return [row(access) for access in self._of(name).last(name, most)]

    async def live(self, name: str, most: int) -> AsyncIterator[dict[str, object]]:
        """The newest lines and all that follow, until the engine stops or the document has no such service.

        The service must be one that ``last`` takes.
        """
        collector = self._of(name)
        with collector.news(name).follower() as news:
            for access in collector.last(name, most):
                yield row(access)
            async for access in news:
                yield row(access)

    def end_follows(self) -> None:
        """The engine stops; ``close`` comes once all answers have ended."""
        if self._collector is not None:
            self._collector.end_follows()

    def top(self) -> dict[str, object]:
        """``top --json``: every service, in the document's order."""
        totals = totals_of(self._loop)
        rows = [
            self._row(service, totals.get(service.name, Traffic())) for service in self._loop.config.services
        ]
        return {"services": rows}

    def _row(self, service: VirtualService, total: Traffic) -> dict[str, object]:
        rate = self._rates.of(service.name)
        last = None if self._collector is None else self._collector.summary(service.name)
        seen = last if last is not None and last.count else None
        return {
            "name": service.name,
            "active": total.active,
            "per_second": {
                "connections": round(rate.connections, 2),
                "bytes_in": round(rate.bytes_in),
                "bytes_out": None if rate.bytes_out is None else round(rate.bytes_out),
            },
            "minute": None if seen is None else asdict(seen),
        }

    def _of(self, name: str) -> Collector:
        service = self._loop.config.service(name)
        if service is None:
            raise Unknown(f"there is no service {name!r}; see 'willis status'")
        if self._collector is None:
            raise Refused("no engine of this node writes an access log")
        return self._collector

    async def _measure(self) -> None:
        while True:
            self._rates.sample(time.monotonic(), totals_of(self._loop))
            await asyncio.sleep(_SAMPLE_S)


def totals_of(loop: Loop) -> Mapping[str, Traffic]:
    """The counters of all engines by service."""
    totals: dict[str, Traffic] = {}
    for (service, _), counted in loop.traffic().items():
        totals[service] = totals.get(service, Traffic()) + counted
    return totals


def row(access: Access) -> dict[str, object]:
    """A line as plain data, without what its kind does not have."""
    return {key: value for key, value in asdict(access).items() if value is not None}
