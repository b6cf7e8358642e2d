"""Gathers the access log: the newest lines and the last minute of each service, and who follows it.

Everything is in memory and bounded: lines that nobody reads in time are lost, never a client's time.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from willis.control.broadcast import Broadcast
from willis.control.window import Summary, Window
from willis.engines.port import Logs
from willis.model.access import Access

log = logging.getLogger("willis.access")

_KEPT = 2_000
"""Lines of each service."""


@dataclass(slots=True)
class _Service:
    lines: deque[Access] = field(default_factory=lambda: deque(maxlen=_KEPT))
    window: Window = field(default_factory=Window)
    news: Broadcast[Access] = field(default_factory=Broadcast)


class Collector:
    """Listens to one engine's data plane. Made and used in the event loop's thread."""

    def __init__(self, source: Logs, clock: Callable[[], float] = time.time) -> None:
        self._source = source
        self._clock = clock
        self._services: dict[str, _Service] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen. Raises EngineError."""
        self._task = asyncio.get_running_loop().create_task(self._serve(self._source.listen()))

    def close(self) -> None:
        """Listen no more; the data plane keeps its newest lines for the next one."""
        if self._task is not None:
            self._task.cancel()

    def know(self, names: Collection[str]) -> None:
        """Take lines of these services and forget the others."""
        self._services = {name: self._services.get(name) or _Service() for name in names}

    def last(self, service: str, most: int) -> list[Access]:
        """The newest lines of a service, oldest first."""
        lines = self._services[service].lines
        return list(lines)[max(0, len(lines) - most) :]

    def summary(self, service: str) -> Summary:
        """A service's last minute."""
        return self._services[service].window.summary(self._clock())

    def news(self, service: str) -> Broadcast[Access]:
        """The lines of a service from now on."""
        return self._services[service].news

    async def _serve(self, listener: socket.socket) -> None:
        async with await asyncio.start_unix_server(self._receive, sock=listener) as server:
            await server.serve_forever()

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One worker's lines. One that is far too long ends the connection; the worker comes again."""
        try:
            while line := await reader.readline():
                access = self._source.read(line)
                if access is not None:
                    self._take(access)
        except (OSError, ValueError) as error:
            log.warning("a worker's access log was cut: %s", error)
        finally:
            writer.close()

    def _take(self, access: Access) -> None:
        service = self._services.get(access.service)
        if service is None:
            return
        service.lines.append(access)
        service.window.add(access, self._clock())
        service.news.tell(access)
