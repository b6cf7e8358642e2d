"""What goes on now: the access log, and ``top``: every service's load in the last seconds and minute."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict

from willis.control.changes import Refused, Unknown
from willis.control.collector import Collector
from willis.control.frames import METRICS, Frame, fold_frames
from willis.control.loop import Loop
from willis.control.recorder import Recorder
from willis.engines.port import Logs, Traffic
from willis.model.access import Access
from willis.model.service import VirtualService

_LATELY = 5
"""Rates are of so many seconds."""


class Logbook:
    """Of one node. Made and used in the event loop's thread."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.recorder = Recorder(loop, self.counts)
        self._collector = next(
            (Collector(k, k.engine) for k in loop.keepers if isinstance(k.engine, Logs)), None
        )

    def start(self) -> None:
        """Begin to follow."""
        if self._collector is not None:
            self._collector.start()

    def close(self) -> None:
        """Stop; traffic goes on."""
        if self._collector is not None:
            self._collector.close()

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
        newest = list(self.recorder.seconds)[-_LATELY:]
        lately = fold_frames(0, newest) if newest else None
        rows = [
            self._row(service, totals.get(service.name, Traffic()), lately)
            for service in self._loop.config.services
        ]
        return {"services": rows}

    def _row(self, service: VirtualService, total: Traffic, lately: Frame | None) -> dict[str, object]:
        rate = _rates(lately, service.name)
        last = None if self._collector is None else self._collector.summary(service.name)
        seen = last if last is not None and last.count else None
        return {
            "name": service.name,
            "active": total.active,
            "per_second": {
                "connections": round(rate["connections"] or 0.0, 2),
                "bytes_in": round(rate["bytes_in"] or 0),
                "bytes_out": None if rate["bytes_out"] is None else round(rate["bytes_out"]),
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


def _rates(lately: Frame | None, service: str) -> dict[str, float | None]:
    """Each metric's mean of the last seconds; None: not known."""
    band = None if lately is None else lately.of((service, ""))
    means = [None] * len(METRICS) if band is None else [v if v == v else None for v in band.avg]
    return dict(zip(METRICS, means, strict=True))


def totals_of(loop: Loop) -> Mapping[str, Traffic]:
    """The counters of all engines by service."""
    totals: dict[str, Traffic] = {}
    for (service, _), counted in loop.traffic().items():
        totals[service] = totals.get(service, Traffic()) + counted
    return totals


def row(access: Access) -> dict[str, object]:
    """A line as plain data, without what its kind does not have."""
    return {key: value for key, value in asdict(access).items() if value is not None}
