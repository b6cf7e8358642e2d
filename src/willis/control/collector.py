"""Gathers the access log: the newest lines and the last minute of each service, and who follows it.

Everything is in memory and bounded: lines that nobody reads in time are lost, never a client's time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field

from willis.control.broadcast import Broadcast
from willis.control.loop import Keeper
from willis.control.window import Summary, Window
from willis.engines.port import EngineError, Logs
from willis.model.access import Access

log = logging.getLogger("willis.access")

_LOOK_S = 1.0
"""How soon a process that began to serve is found."""
_SAY_S = 10.0
_KEPT = 2_000
"""Lines of each service."""


@dataclass(slots=True)
class _Service:
    lines: deque[Access] = field(default_factory=lambda: deque(maxlen=_KEPT))
    window: Window = field(default_factory=Window)
    news: Broadcast[Access] = field(default_factory=Broadcast)


class Collector:
    """Follows one engine's data plane. Made and used in the event loop's thread."""

    def __init__(self, keeper: Keeper, source: Logs) -> None:
        self._keeper = keeper
        self._source = source
        self._services: dict[str, _Service] = {}
        self._streams: dict[int, asyncio.Task[None]] = {}
        """By process; those that ended stay, so that none is read twice from its beginning."""
        self._task: asyncio.Task[None] | None = None
        self._began = time.time()
        self.counts: dict[tuple[str, str], tuple[int, int]] = {}
        """Lines ever, and those of what failed, by (service, host) and of whole services (host empty). Lines
        from before the start do not count: they would come all at once."""

    def start(self) -> None:
        """Begin to follow."""
        self._task = asyncio.get_running_loop().create_task(self._follow())

    def close(self) -> None:
        """Follow no more; the data plane keeps its newest lines for the next one."""
        for task in (self._task, *self._streams.values()):
            if task is not None:
                task.cancel()

    def know(self, names: Collection[str]) -> None:
        """Take lines of these services and forget the others; who follows one of those comes to an end."""
        for gone in self._services.keys() - set(names):
            self._services[gone].news.close()
        self._services = {name: self._services.get(name) or _Service() for name in names}
        self.counts = {key: count for key, count in self.counts.items() if key[0] in self._services}

    def last(self, service: str, most: int) -> list[Access]:
        """The newest lines of a service, oldest first."""
        lines = self._services[service].lines
        return list(lines)[max(0, len(lines) - most) :]

    def summary(self, service: str) -> Summary:
        """A service's last minute."""
        return self._services[service].window.summary(time.time())

    def end_follows(self) -> None:
        """Of all services."""
        for service in self._services.values():
            service.news.close()

    def news(self, service: str) -> Broadcast[Access]:
        """The lines of a service from now on."""
        return self._services[service].news

    async def _follow(self) -> None:
        """Every process that ever served gets a reader of its own: after a reload the old one goes on."""
        while True:
            try:
                serving = await self._keeper.call(self._source.serving)
                known = self._streams.get(serving) if serving is not None else None
                if serving is not None and (known is None or known.done()):
                    await self._open(fresh=known is not None)
            except EngineError as error:
                log.debug("the access log waits: %s", error)
            await asyncio.sleep(_LOOK_S)

    async def _open(self, *, fresh: bool) -> None:
        """Raises EngineError."""
        sock = await self._keeper.call(lambda: self._source.stream(fresh=fresh))
        reader, writer = await asyncio.open_unix_connection(sock=sock)
        process = await _process(reader)
        known = self._streams.get(process)
        if known is not None and not known.done():
            writer.close()
            return
        loop = asyncio.get_running_loop()
        self._streams[process] = loop.create_task(self._receive(reader, writer))

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One process's lines, to its end."""
        try:
            while line := await reader.readline():
                access = self._source.read(line)
                if access is not None:
                    self._take(access)
        except (OSError, ValueError) as error:
            log.warning("an access log was cut: %s", error)
        finally:
            writer.close()

    def _take(self, access: Access) -> None:
        service = self._services.get(access.service)
        if service is None:
            return
        service.lines.append(access)
        service.window.add(access)
        service.news.tell(access)
        if access.at >= self._began:
            for host in {"", access.host or ""}:
                lines, failed = self.counts.get((access.service, host), (0, 0))
                self.counts[access.service, host] = (lines + 1, failed + (not access.ok))


async def _process(reader: asyncio.StreamReader) -> int:
    """Whose lines these are. Raises EngineError if it does not say so."""
    async with asyncio.timeout(_SAY_S):
        while line := await reader.readline():
            name, _, number = line.partition(b":")
            if name == b"Pid":
                return int(number)
    raise EngineError("the data plane ended a log before it began")
