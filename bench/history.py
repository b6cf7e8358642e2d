"""``./dev bench history``: what recording the history costs, for 500 services with 10 real servers each.

First two minutes pass second by second, then an hour in steps of ten seconds, as fast as they can. The
counters of every server move each time; checks look; minutes are folded and noted, and the hour goes into
chunks on disk. Only the recording's CPU counts. The anchor is adding the same counters up by service once
a second, which ``willis top`` did before there was a history.
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
from willis.control.recorder import FINE, Recorder
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
    """Shares are of one core."""

    anchor_percent: float
    each_second_percent: float
    """Services each second, and what checks said."""
    rest_percent: float
    """Servers each ten seconds, folding, writing."""
    longest_ms: float
    """The longest CPU time that one step held the engine's loop up."""
    megabytes: float
    """Of memory, at most."""
    disk_megabytes: float

    @property
    def percent(self) -> float:
        return self.each_second_percent + self.rest_percent

    def as_json(self) -> dict[str, object]:
        targets = {"percent": _CPU_TARGET, "megabytes": _MEMORY_TARGET}
        found = {**asdict(self), "percent": self.percent, "targets": targets}
        return {"services": _SERVICES, "servers": _SERVERS, **found}


def measure(seconds: int, steps: int, tell: Callable[[str], None]) -> Figures:
    """Over so many single seconds, and so many steps of ten seconds after them."""
    with tempfile.TemporaryDirectory(prefix="willis-bench-") as folder:
        return asyncio.run(_Run(Path(folder)).figures(seconds, steps, tell))


def table(figures: Figures) -> Table:
    shown = plain_table("what", "figure", "target", title=f"{_SERVICES} services x {_SERVERS}")
    shown.add_row("adding the counters up, the anchor", f"{figures.anchor_percent:.2f} % of a core", "")
    shown.add_row("recording each second", f"{figures.each_second_percent:.2f} % of a core", "")
    shown.add_row("all else", f"{figures.rest_percent:.2f} % of a core", "")
    shown.add_row("together", f"{figures.percent:.2f} % of a core", f"{_CPU_TARGET:g} %")
    shown.add_row("the longest step", f"{figures.longest_ms:.0f} ms", "")
    shown.add_row("memory", f"{figures.megabytes:.0f} MB", f"{_MEMORY_TARGET:g} MB")
    shown.add_row("disk", f"{figures.disk_megabytes:.0f} MB", "")
    return shown


class _Run:
    def __init__(self, folder: Path) -> None:
        self._config = _site()
        self._loop = Loop([MemoryEngine("bench", lambda *_: {})], self._config, up(self._config))
        self._chance = random.Random(1)
        self._now = 0.0
        self._path = folder / "history.db"
        self._places = [(s.name, r.host) for s in self._config.services for r in s.pool]
        self._totals = [0] * len(self._places)
        self._targets = list(targets(self._config))
        self._move(0.0)
        self._before = self._most = _resident()
        self._longest = 0.0
        recorder = Recorder(self._loop, dict)
        self._history = History(recorder, self._path, lambda: _BEGIN + self._now, lambda: self._now)

    async def figures(self, seconds: int, steps: int, tell: Callable[[str], None]) -> Figures:
        self._history.tick()  # counts the standings, once for all
        tell(f"{seconds} seconds")
        anchor, each_second = 0.0, []
        for second in range(seconds):
            self._move(1.0)
            began = time.process_time()
            totals_of(self._loop)
            anchor += time.process_time() - began
            took = await self._step(self._looks(second))
            if self._now % FINE:
                each_second.append(took)
        tell(f"{steps} steps of ten seconds")
        rest = 0.0
        for _ in range(steps):
            self._move(float(FINE))
            rest += await self._step([])
        disk = sum(path.stat().st_size for path in self._path.parent.iterdir())
        await self._history.close()
        return Figures(
            100 * anchor / seconds,
            100 * sum(each_second) / len(each_second),
            100 * rest / (steps * FINE),
            self._longest * 1000,
            (self._most - self._before) / 1e6,
            disk / 1e6,
        )

    async def _step(self, looks: list[tuple[Target, Result]]) -> float:
        """CPU seconds of recording what there is now."""
        began = time.process_time()
        for look in looks:
            self._history.recorder.looked(*look)
        self._history.tick()
        self._longest = max(self._longest, time.process_time() - began)
        await self._history.keep()
        took = time.process_time() - began
        self._most = max(self._most, _resident())
        return took

    def _move(self, seconds: float) -> None:
        """So much later every server has got connections and bytes."""
        self._now += seconds
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
