"""``./dev bench stream``: what the live stream costs the engine, for 500 services with 10 servers each.

A real socket and real followers (curl); counters move everywhere, or nowhere, once a second. The
anchor is the same engine with nobody who follows; only what is above it counts.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import uvicorn
from rich.table import Table

from bench.topology import Unable
from willis.api import sockets
from willis.api.app import build
from willis.api.peer import PeerProtocol
from willis.certificates.store import CertificateStore
from willis.control.controller import Controller
from willis.control.gains import Reading
from willis.control.store import Store
from willis.control.tokens import TokenWish
from willis.engines.memory import MemoryEngine
from willis.engines.port import Traffic
from willis.model.identity import Grant, Role
from willis.terminal import table as plain_table

_SERVICES, _SERVERS, _HOSTS = 500, 10, 200
_WARM_S, _PATIENCE_S = 3.0, 60.0


@dataclass(frozen=True, slots=True)
class Row:
    """So many followers, and what the counters do meanwhile."""

    followers: int
    scoped: bool
    """They may read a tenth of the services, each another tenth than the next."""
    busy: bool
    percent: float = 0.0
    """Of a core, above the anchor."""
    kilobytes: float = 0.0
    """A follower and second."""


_CASES = (
    Row(1, scoped=False, busy=False),
    Row(1, scoped=False, busy=True),
    Row(20, scoped=False, busy=True),
    Row(10, scoped=True, busy=True),
)


def measure(seconds: float, tell: Callable[[str], None]) -> list[Row]:
    """Each case for so many seconds. Raises Unable."""
    if shutil.which("curl") is None:
        raise Unable("there is no curl, which follows here")
    with tempfile.TemporaryDirectory(prefix="willis-bench-") as folder:
        return asyncio.run(_Run(Path(folder), seconds, tell).rows())


def as_json(rows: list[Row]) -> dict[str, object]:
    return {"services": _SERVICES, "servers": _SERVERS, "rows": [asdict(row) for row in rows]}


def table(rows: list[Row]) -> Table:
    shown = plain_table(
        "followers",
        "they read",
        "counters",
        "of a core",
        "each gets",
        title=f"{_SERVICES} services x {_SERVERS}",
    )
    for row in rows:
        reads, counters = "a tenth" if row.scoped else "all", "all move" if row.busy else "rest"
        shown.add_row(
            str(row.followers), reads, counters, f"{row.percent:.1f} %", f"{row.kilobytes:.0f} kB/s"
        )
    return shown


class _Run:
    def __init__(self, folder: Path, seconds: float, tell: Callable[[str], None]) -> None:
        self._folder, self._seconds, self._tell = folder, seconds, tell
        self._number = 0

    async def rows(self) -> list[Row]:
        store = Store(self._folder / "willis.db")
        store.promote(store.propose(_document(), time.time(), "bench", "").number)
        engine = MemoryEngine("bench", lambda *_: {})
        self._controller = Controller("lb1", store, [engine], CertificateStore(self._folder))
        config = self._controller.loop.config
        self._places = [(s.name, server.host) for s in config.services for server in s.pool]
        self._move()
        async with self._served():
            anchors = {busy: await self._cpu(busy) for busy in (False, True)}
            found = [await self._row(case, anchors[case.busy]) for case in _CASES]
        await self._controller.close()
        return found

    @asynccontextmanager
    async def _served(self) -> AsyncIterator[None]:
        with sockets.console(self._folder) as listener:
            app = build(self._controller, self._folder)
            config = uvicorn.Config(app, lifespan="off", http=PeerProtocol, log_config=None)
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                yield
            finally:
                self._controller.end_follows()
                server.should_exit = True
                await serving

    async def _row(self, case: Row, anchor: float) -> Row:
        self._tell(f"{case.followers} followers, {'busy' if case.busy else 'at rest'}")
        files = [self._folder / f"got-{n}" for n in range(case.followers)]
        curls = [await self._follow(file, n if case.scoped else None) for n, file in enumerate(files)]
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while not all(file.exists() for file in files):
                    await asyncio.sleep(0.1)
            await asyncio.sleep(_WARM_S)  # the rest of the snapshots
            before = sum(file.stat().st_size for file in files)
            percent = await self._cpu(case.busy) - anchor
            got = sum(file.stat().st_size for file in files) - before
        finally:
            for curl in curls:
                curl.kill()
                await curl.wait()
        kilobytes = got / 1000 / case.followers / self._seconds
        return Row(case.followers, case.scoped, case.busy, percent, kilobytes)

    async def _follow(self, into: Path, tenth: int | None) -> asyncio.subprocess.Process:
        arguments = ["-sN", "--unix-socket", str(self._folder / "engine.sock"), "-o", str(into)]
        if tenth is not None:
            arguments += ["-H", f"Authorization: Bearer {self._token(tenth)}"]
        return await asyncio.create_subprocess_exec("curl", *arguments, "http://engine/api/v1/stream")

    def _token(self, tenth: int) -> str | None:
        grants = (Grant(Role.VIEWER, (f"Service??{tenth}",)),)
        return self._controller.identity.tokens.make(TokenWish(f"follower{tenth}", grants, 3600.0), "bench")

    async def _cpu(self, busy: bool) -> float:
        """Percent of a core that this process takes, moving the counters once a second if ``busy``."""
        began, end = time.process_time(), time.monotonic() + self._seconds
        while time.monotonic() < end:
            if busy:
                self._move()
            await asyncio.sleep(min(1.0, max(0.0, end - time.monotonic())))
        return (time.process_time() - began) / self._seconds * 100

    def _move(self) -> None:
        """Every server gets connections and bytes."""
        self._number += 7
        numbers = range(self._number, self._number + len(self._places))
        counted = (Traffic(n % 97, n, n * 1000, n * 9000) for n in numbers)
        reading = Reading(time.time(), dict(zip(self._places, counted, strict=True)))
        self._controller.loop.keepers[0].reading = reading


def _document() -> str:
    hosts = "".join(f"  h{n}: 10.60.{n // 250}.{n % 250 + 3}\n" for n in range(_HOSTS))
    services = "".join(
        f"  Service{n:03}:\n    vip: 10.61.{n // 250}.{n % 250 + 3}\n    ports: 104\n    forwarding: nat\n"
        f"    pool: [{', '.join(f'h{(n * 7 + i) % _HOSTS}' for i in range(_SERVERS))}]\n"
        for n in range(_SERVICES)
    )
    interfaces = "interfaces: {eth0: {addresses: [10.60.0.2/15]}}"
    return f"version: 1\nsite: bench\n{interfaces}\nhosts:\n{hosts}services:\n{services}"
