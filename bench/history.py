"""``./dev bench history``: what recording the history costs, for 500 services with 10 real servers each.

An hour passes as fast as it can: every second an engine's counters move everywhere and the recorder
ticks; minutes are folded and noted, and the hour goes into chunks on disk. Only the recording's CPU
counts. The anchor is adding the same counters up by service once a second, which ``willis top`` did
before there was a history.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from pathlib import Path

from rich.table import Table

from bench.engine import up
from willis.control.gains import Reading
from willis.control.history import History
from willis.control.logbook import totals_of
from willis.control.loop import Loop
from willis.control.recorder import Recorder
from willis.engines.memory import MemoryEngine
from willis.engines.port import Traffic
from willis.model.check import Check, Target
from willis.model.config import Config
from willis.model.service import Forwarding, RealServer, VirtualService
from willis.model.status import Verdict
from willis.plan.members import targets
from willis.plan.verdict import Result
from willis.terminal import table as plain_table

_SERVICES, _SERVERS = 500, 10
_CPU_TARGET, _MEMORY_TARGET = 2.0, 100.0
_CHECK_S = 5
_BEGIN = 1_800_000_000.0
"""A full hour."""


@dataclass(frozen=True, slots=True)
class Figures:
    seconds: int
    """Of simulated time."""
    anchor_percent: float
    """Of a core: adding the counters up."""
    percent: float
    """Of a core: recording, folding, writing."""
    longest_ms: float
    """The longest that one second's work held the engine's loop up."""
    megabytes: float
    """Of memory, at most."""
    disk_megabytes: float

    def as_json(self) -> dict[str, object]:
        targets = {"percent": _CPU_TARGET, "megabytes": _MEMORY_TARGET}
        return {"services": _SERVICES, "servers": _SERVERS, **asdict(self), "targets": targets}


def measure(seconds: int, tell: Callable[[str], None]) -> Figures:
    """Let so many seconds pass."""
    with tempfile.TemporaryDirectory(prefix="willis-bench-") as folder:
        return asyncio.run(_Run(Path(folder), seconds, tell).figures())


def table(figures: Figures) -> Table:
    shown = plain_table(
        "what", "figure", "target", title=f"{_SERVICES} services x {_SERVERS}, {figures.seconds} s"
    )
    shown.add_row("adding the counters up, the anchor", f"{figures.anchor_percent:.2f} % of a core", "")
    shown.add_row("recording, all of it", f"{figures.percent:.2f} % of a core", f"{_CPU_TARGET:g} %")
    shown.add_row("the longest work in one second", f"{figures.longest_ms:.0f} ms", "")
    shown.add_row("memory", f"{figures.megabytes:.0f} MB", f"{_MEMORY_TARGET:g} MB")
    shown.add_row("disk", f"{figures.disk_megabytes:.0f} MB", "")
    return shown


class _Run:
    def __init__(self, folder: Path, seconds: int, tell: Callable[[str], None]) -> None:
        self._seconds = seconds
        self._tell = tell
        self._config = _site()
        self._loop = Loop([MemoryEngine("bench", lambda *_: {})], self._config, up(self._config))
        self._chance = random.Random(1)  # noqa: S311
        self._now = 0.0
        self._path = folder / "history.db"
        self._places = [(s.name, r.host) for s in self._config.services for r in s.pool]
        self._totals = [0] * len(self._places)
        self._targets = list(targets(self._config))
        self._move()
        self._before = _resident()
        recorder = Recorder(self._loop, dict)
        self._history = History(recorder, self._path, lambda: _BEGIN + self._now, lambda: self._now)

    async def figures(self) -> Figures:
        anchor = spent = longest = 0.0
        most = 0
        for second in range(self._seconds):
            if second % 600 == 0:
                self._tell(f"{second} of {self._seconds} s")
            self._now = float(second + 1)
            self._move()
            began = time.process_time()
            totals_of(self._loop)
            anchor += time.process_time() - began
            looks = self._looks(second)
            took = time.process_time()
            for look in looks:
                self._history.recorder.looked(*look)
            self._history.tick()
            took = time.process_time() - took
            longest = max(longest, took)
            began = time.process_time()
            await self._history.keep()
            spent += took + time.process_time() - began
            if second % 10 == 0:
                most = max(most, _resident())
        disk = sum(path.stat().st_size for path in self._path.parent.iterdir())
        await self._history.close()
        share = 100 / self._seconds
        return Figures(
            self._seconds,
            anchor * share,
            spent * share,
            longest * 1000,
            (most - self._before) / 1e6,
            disk / 1e6,
        )

    def _move(self) -> None:
        """Every server gets connections and bytes in every second."""
        for at, more in enumerate(self._chance.choices(range(1, 50), k=len(self._totals))):
            self._totals[at] += more
        counted = (Traffic(n % 97, n, n * 1000, n * 9000) for n in self._totals)
        self._loop.keepers[0].reading = Reading(self._now, dict(zip(self._places, counted, strict=True)))

    def _looks(self, second: int) -> list[tuple[Target, Result]]:
        """Every server is looked at each five seconds."""
        due = self._targets[second % _CHECK_S :: _CHECK_S]
        return [(target, Result(0.0, Verdict.UP, "", 0.2 + second % 7 / 10)) for target in due]


def _site() -> Config:
    pools = [
        tuple(RealServer(f"h{s}-{i}", ip_address(f"10.{s >> 8}.{s & 255}.{i + 1}")) for i in range(_SERVERS))
        for s in range(_SERVICES)
    ]
    services = tuple(
        VirtualService(
            name=f"Service{s}",
            vip=ip_address(f"10.200.{s >> 8}.{s & 255}"),
            ports=(104,),
            forwarding=Forwarding.NAT,
            check=Check(),
            pool=pool,
        )
        for s, pool in enumerate(pools)
    )
    return Config(site="bench", services=services)


def _resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
