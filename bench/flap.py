"""``./dev bench flap``: 1,000 real servers that come and go every two seconds: what that costs.

The engine is whole (control, checks, events, alerts, store), but for its data planes: they compile
as they do and only remember, so the kernel's and HAProxy's part does not count. Its servers are
listeners on loopback addresses (``bench.flapper``). The clock is the CPU time of this process: first
while all listen, then in the storm; both with checks every second, in the same run.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path

from rich.table import Table

from bench.topology import Unable
from willis.certificates.store import CertificateStore
from willis.control.changes import Wish
from willis.control.controller import Controller
from willis.control.store import Store
from willis.engines.addresses.compile import compile_vips
from willis.engines.ebpf.compile import compile_l4
from willis.engines.memory import MemoryEngine
from willis.engines.nft.compile import compile_nft
from willis.model.check import Target
from willis.model.config import Config
from willis.model.status import Health, Status, Verdict
from willis.plan.diff import Artefacts
from willis.terminal import table as plain_table

_FIRST = IPv4Address("127.78.1.1")
_POOL = 50
_TURN_S = 2.0
_SAMPLE_S = 0.2
_SETTLE_S = 60.0
_TARGET = 20.0
"""Per cent that a storm may cost more than the calm."""
_SETTLED_S = 10.0
"""Who fell often is held back for up to eight good looks, one a second."""
_A_MINUTE = 10
_COMPILERS: dict[str, Callable[[Config, Status], Artefacts]] = {
    "ebpf": compile_l4,
    "nft": compile_nft,
    "addresses": compile_vips,
}


@dataclass(frozen=True, slots=True)
class Figures:
    servers: int
    seconds: float
    """Of calm, and of storm."""
    calm: float
    """Per cent of one core."""
    storm: float
    verdicts: int
    """That were seen to have changed in the storm."""
    passes: int
    """Of all engines in the storm."""
    settled_s: float
    """From the storm's end until every engine holds that all servers are up."""
    minutes: float = 0.0
    """The whole run."""
    alarms: int = 0
    """To one receiver."""
    lines: int = 0
    """In the log."""

    @property
    def more(self) -> float:
        """Per cent that the storm cost more."""
        return (self.storm / self.calm - 1) * 100


def measure(tell: Callable[[str], None], servers: int = 1000, seconds: float = 20.0) -> Figures:
    """``servers``: 50 to 1,000 by fifties; ``seconds``: 4 or more. Raises Unable, in one sentence."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        tempfile.TemporaryDirectory(prefix="willis-flap-") as home,
        _logged() as lines,
        _flapper(servers) as flapper,
    ):
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        began = time.monotonic()
        document = _document(servers, flapper.port, receiver.getsockname()[1])
        run = _Run(Path(home), servers, document)
        found = asyncio.run(run.measure(flapper, seconds, tell))
        minutes = (time.monotonic() - began) / 60
        return replace(found, minutes=minutes, alarms=_received(receiver), lines=lines.count)


def _document(servers: int, port: int, alerts: int) -> str:
    hosts = {f"h{n}": str(_FIRST + n) for n in range(servers)}
    services = {
        f"service{n // _POOL}": {
            "vip": f"10.60.1.{1 + n // _POOL}",
            "ports": port,
            "forwarding": "dr",
            "pool": list(hosts)[n : n + _POOL],
        }
        for n in range(0, servers, _POOL)
    }
    site = {
        "version": 1,
        "site": "flap",
        "interfaces": {"eth0": {"addresses": ["127.78.255.254/16", "10.60.1.254/24"]}},
        "hosts": hosts,
        "alerts": {"syslog": [{"server": "127.0.0.1", "port": alerts, "transport": "udp"}]},
        "defaults": {"check": {"interval": "1s", "timeout": "1s", "rise": 1, "fall": 1}},
        "services": services,
    }
    return json.dumps(site)


def _received(receiver: socket.socket) -> int:
    """Datagrams that wait."""
    count = 0
    with suppress(BlockingIOError):
        while receiver.recv(65_536):
            count += 1
    return count


class _Counting(MemoryEngine):
    passes = 0

    def refresh(self) -> None:
        self.passes += 1


class _Lines(logging.Handler):
    """Counts what the log would show."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


class _Run:
    """One engine, from nothing through calm and storm to calm again."""

    def __init__(self, home: Path, servers: int, document: str) -> None:
        self._document = document
        self._engines = tuple(_Counting(name, compiled) for name, compiled in _COMPILERS.items())
        store, certificates = Store(home / "willis.db"), CertificateStore(home / "certificates")
        self._controller = Controller("bench", store, self._engines, certificates)
        self._servers = servers

    async def measure(self, flapper: _Flapper, seconds: float, tell: Callable[[str], None]) -> Figures:
        """Raises Unable."""
        self._controller.start()
        try:
            await self._controller.apply(self._document, Wish("bench"))
            await self._well()
            tell(f"{seconds:g} s of calm, then of storm")
            calm, _, _ = await self._cost(seconds)
            flapper.tell("storm")
            await asyncio.sleep(_TURN_S)
            storm, verdicts, passes = await self._cost(seconds)
            flapper.tell("calm")
            ended = time.monotonic()
            await self._well()
            settled = time.monotonic() - ended
        finally:
            await self._controller.close()
        return Figures(self._servers, seconds, calm, storm, verdicts, passes, settled)

    async def _cost(self, seconds: float) -> tuple[float, int, int]:
        """Per cent of a core, verdicts that changed and passes of all engines."""
        verdicts, passes = 0, sum(engine.passes for engine in self._engines)
        began, spent = time.monotonic(), time.process_time()
        known = self._health()
        while (took := time.monotonic() - began) < seconds:
            await asyncio.sleep(_SAMPLE_S)
            fresh = self._health()
            verdicts += sum(known[target] != now for target, now in fresh.items())
            known = fresh
        passes = sum(engine.passes for engine in self._engines) - passes
        return (time.process_time() - spent) / took * 100, verdicts, passes

    def _health(self) -> Mapping[Target, Health]:
        return self._controller.loop.status.health

    async def _well(self) -> None:
        """Wait until every server is up and every engine holds just that. Raises Unable."""
        deadline = time.monotonic() + _SETTLE_S
        while not self._is_well():
            if time.monotonic() > deadline:
                raise Unable(f"Not all servers were up after {_SETTLE_S:g} s.")
            await asyncio.sleep(_SAMPLE_S)

    def _is_well(self) -> bool:
        loop = self._controller.loop
        up = sum(health.verdict is Verdict.UP for health in loop.status.health.values())
        return up == self._servers and all(
            engine.held == engine.compile(loop.config, loop.status) for engine in self._engines
        )


@contextmanager
def _logged() -> Iterator[_Lines]:
    lines, log = _Lines(), logging.getLogger("willis")
    before = log.level
    log.addHandler(lines)
    log.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        log.removeHandler(lines)
        log.setLevel(before)


class _Flapper:
    """The process with the listeners."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process, self.port = process, port

    def tell(self, word: str) -> None:
        """Have it begin (``storm``) or end (``calm``) the storm. Raises Unable."""
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        self.hear(word)

    def hear(self, word: str) -> None:
        """Wait for its answer. Raises Unable."""
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != word:
            raise Unable(f"The servers on port {self.port} did not start.")


@contextmanager
def _flapper(servers: int) -> Iterator[_Flapper]:
    with socket.create_server((str(_FIRST), 0)) as probe:
        port = int(probe.getsockname()[1])
    words = [sys.executable, "-m", "bench.flapper", str(_FIRST), str(servers), str(port)]
    process = subprocess.Popen(words, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        found = _Flapper(process, port)
        found.hear("calm")
        yield found
    finally:
        process.kill()
        process.communicate()


def table(figures: Figures) -> Table:
    """What a terminal of 80 columns shows."""
    shown = plain_table(f"{figures.servers:,} servers", "CPU", "verdicts/s", "passes/s")
    shown.add_row("all listen", f"{figures.calm:.1f} % of a core", "", "")
    rates = (f"{count / figures.seconds:.0f}" for count in (figures.verdicts, figures.passes))
    shown.add_row("all flap", f"{figures.storm:.1f} % of a core", *rates)
    shown.caption = "; ".join(
        f"{what}: {'met' if met else 'missed'}" for what, met in _targets(figures).items()
    )
    return shown


def as_json(figures: Figures) -> dict[str, object]:
    return {**asdict(figures), "more": figures.more, "targets": _targets(figures)}


def _targets(figures: Figures) -> dict[str, bool]:
    most = _A_MINUTE * math.ceil(figures.minutes)
    return {
        f"the storm costs at most {_TARGET:g} % more (now {figures.more:.0f} %)": figures.more <= _TARGET,
        f"at most {most} alarms in {figures.minutes:.1f} minutes (now {figures.alarms})": figures.alarms
        <= most,
        f"all is well {_SETTLED_S:g} s after it (now {figures.settled_s:.1f} s)": figures.settled_s
        <= _SETTLED_S,
    }
