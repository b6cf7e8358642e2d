"""``./dev bench changes``: what an administrator waits for at 500 services with 10 real servers each.

A real engine process with all its data planes (eBPF, nftables, kernel, routes, HAProxy, addresses) runs
in a namespace of its own and is asked over its socket, as the command line does it. All real servers
listen and are looked at meanwhile. Seconds are of the wall clock. Beside each figure stands an anchor of
the same round: the part of that work that is not ours, done alone.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from rich.table import Table

from bench.topology import (
    BACK,
    BACK_MAC,
    FRONT,
    Unable,
    bed,
    inside,
    ip,
    need,
    pin_folder,
    private_bpffs,
    server_address,
)
from willis.cli.client import Client, Refusal, Unreachable
from willis.config import load, write
from willis.engines.haproxy.driver import HaproxyEngine
from willis.engines.haproxy.process import binary
from willis.terminal import table as plain_table

SERVICES, SERVERS, HOSTS = 500, 10, 200
_PORT = 10_000
"""Service n listens there + n, and so do its real servers: every look is at a target of its own."""
_VIPS = IPv4Address("10.60.1.1")
_OWN = tuple(address.partition("/")[0] for address in (FRONT, BACK))
_ANSWER_S, _READY_S, _UP_S = 120.0, 30.0, 120.0
_TIMES_STATUS = 20
"""A try asks for the status so often; its median counts."""

VALIDATE, FIRST, PLAN, APPLY, STATUS = "validate", "apply, the first", "plan", "apply", "status"
TARGETS_S = {VALIDATE: 2.0, FIRST: 3.0, PLAN: 2.0, APPLY: 3.0, STATUS: 0.1}
YAML, CHECK, ENCODE = "libyaml reads it", "haproxy -c", "it as JSON"
_CPU = ", CPU"
_TICKS = os.sysconf("SC_CLK_TCK")
_ANCHORS = {VALIDATE: YAML, FIRST: CHECK, PLAN: CHECK, APPLY: CHECK, STATUS: ENCODE}

Tell = Callable[[str], None]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """Seconds over all tries; ``ratio``: to the anchor of the same try, the median."""

    what: str
    min: float
    median: float
    max: float
    target: float
    anchor: str
    ratio: float
    cpu: float
    """Seconds that the engine used of a CPU meanwhile, for its loop and its checks too; the median."""

    @property
    def met(self) -> bool:
        return self.median <= self.target


def measure(tries: int, tell: Tell, services: int = SERVICES) -> tuple[Row, ...]:
    """Do everything ``tries`` times (1 to 100), each on a new node. Raises Unable, in one sentence."""
    need("ip", "ethtool", "haproxy", "nft")
    found: list[dict[str, float]] = []
    with private_bpffs() as bpffs, bed(HOSTS) as wire:
        with inside(wire.sink):
            listeners = _listen(services)
        try:
            for number in range(tries):
                tell(f"try {number + 1} of {tries}")
                with inside(wire.balancer), pin_folder(bpffs) as pins, _engine(pins) as engine:
                    found.append(engine.run(services))
        finally:
            for each in listeners:
                each.close()
    return tuple(_row(what, found) for what in TARGETS_S)


def table(rows: tuple[Row, ...]) -> Table:
    """What a terminal of 80 columns shows."""
    shown = plain_table("seconds", "min", "median", "max", "CPU", "target", "x", "of")
    for row in rows:
        target = f"{row.target:g}: {'met' if row.met else 'missed'}"
        figures = (f"{s:.2f}" for s in (row.min, row.median, row.max, row.cpu))
        shown.add_row(row.what, *figures, target, f"{row.ratio:.1f}", row.anchor)
    return shown


def as_json(rows: tuple[Row, ...]) -> dict[str, object]:
    return {
        "services": SERVICES,
        "servers": SERVERS,
        "rows": [asdict(row) | {"met": row.met} for row in rows],
    }


def _row(what: str, found: list[dict[str, float]]) -> Row:
    each, anchor = [one[what] for one in found], _ANCHORS[what]
    ratios = [one[what] / one[anchor] for one in found]
    cpu = median(one[f"{what}{_CPU}"] for one in found)
    return Row(what, min(each), median(each), max(each), TARGETS_S[what], anchor, median(ratios), cpu)


def document(services: int, weight: int = 100) -> str:
    """The site. Of ten services five are DR, two NAT, one SNAT, and two are carried by the proxy."""
    site = {
        "version": 1,
        "site": "changes",
        "interfaces": {"b0": {"addresses": [FRONT]}, "b1": {"addresses": [BACK]}},
        "hosts": {f"s{n}": server_address(n) for n in range(HOSTS)},
        "services": {f"service{n}": _service(n, weight) for n in range(services)},
    }
    config = load(json.dumps(site)).config
    assert config is not None
    return write(config)


def _service(number: int, weight: int) -> Json:
    kind = _KINDS[number % len(_KINDS)]
    pool = [f"s{(number * SERVERS + i) % HOSTS}" for i in range(SERVERS)]
    return {"vip": str(_VIPS + number), "ports": _PORT + number, "weight": weight, **kind, "pool": pool}


_TIED = {"persistence": {"kind": "source-ip", "timeout": "5m"}}
_DICOM: Json = {"application": "dicom", "forwarding": "dr", **_TIED}
_KINDS: tuple[Json, ...] = (
    _DICOM,
    {**_DICOM, "forwarding": "nat"},
    {"application": "hl7", "forwarding": "dr", **_TIED},
    {"application": "http", "forwarding": "proxy", "persistence": {"kind": "cookie", "name": "SERVERID"}},
    _DICOM,
    {"application": "hl7", "forwarding": "snat"},
    _DICOM,
    {**_DICOM, "forwarding": "nat", "scheduler": "mh"},
    {**_DICOM, "scheduler": "wrr"},
    {"application": "dicom", "forwarding": "proxy"},
)


def _listen(services: int) -> list[socket.socket]:
    """The sink is every real server, and has the VIPs as DR wants it. Nobody accepts: looks are half-open."""
    ip(
        "link set lo up",
        f"addr add {server_address(HOSTS)}/24 dev s0",
        *(f"neigh replace {own} lladdr {BACK_MAC} dev s0 nud permanent" for own in _OWN),
        "route add local 10.61.0.0/24 dev lo",
        "route add local 10.60.0.0/16 dev lo",
        *(f"route add {own} dev s0 table local" for own in _OWN),
    )
    return [socket.create_server(("", _PORT + n)) for n in range(services)]


class _Engine:
    """A running engine and where it keeps its things."""

    def __init__(self, home: Path, pid: int) -> None:
        self.home = home
        self._stat = Path(f"/proc/{pid}/stat")
        self.client = Client(home / "run" / "engine.sock", timeout=_ANSWER_S)
        self.times: dict[str, float] = {}

    def run(self, services: int) -> dict[str, float]:
        """From nothing to one more weight everywhere. Raises Unable."""
        first, second = document(services), document(services, weight=50)
        with self._timed(FIRST):
            self._apply(first)
        self._settle(services)
        with self._timed(VALIDATE):
            self._ask("/validate", {"document": second})
        with self._timed(PLAN):
            plan = self._ask("/plan", {"document": second})
        with self._timed(STATUS, of=_TIMES_STATUS):
            for _ in range(_TIMES_STATUS):
                status = self.client.get("/status")
        with self._timed(APPLY):
            self._apply(second, checksum=plan["checksum"])
        self._anchors(second, status)
        return self.times

    def _apply(self, text: str, **more: str) -> None:
        self._ask("/apply", {"document": text, "author": "bench", **more})

    def _ask(self, route: str, body: Json) -> Json:
        try:
            return self.client.post(route, body)
        except (Refusal, Unreachable) as error:
            raise Unable(f"{route}: {error}") from error

    def _settle(self, services: int) -> None:
        """Wait until every service is up and every engine holds just that. Raises Unable."""
        deadline = time.monotonic() + _UP_S
        while True:
            status = self.client.get("/status")
            up = sum(row["state"] == "up" for row in status["services"])
            if up == services and all(engine["settled"] for engine in status["engines"]):
                return
            if time.monotonic() > deadline:
                told = "; ".join(engine["sentence"] for engine in status["engines"])
                raise Unable(f"After {_UP_S:g} s only {up} of {services} services are up: {told}.")
            time.sleep(0.5)

    def _anchors(self, text: str, status: Json) -> None:
        with self._timed(YAML):
            for _ in yaml.parse(text, Loader=yaml.CSafeLoader):
                pass
        with self._timed(CHECK):
            config = str(self.home / "state" / "haproxy.cfg")
            subprocess.run([binary(), "-c", "-f", config], capture_output=True, check=True, cwd=self.home)
        with self._timed(ENCODE):
            json.dumps(status)

    @contextmanager
    def _timed(self, what: str, of: int = 1) -> Iterator[None]:
        began, spent = time.perf_counter(), self._spent_s()
        yield
        self.times[what] = (time.perf_counter() - began) / of
        self.times[f"{what}{_CPU}"] = (self._spent_s() - spent) / of

    def _spent_s(self) -> float:
        """Of a CPU, by all threads of the engine (proc(5): utime and stime)."""
        fields = self._stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


@contextmanager
def _engine(pins: Path) -> Iterator[_Engine]:
    """One that answers, where the calling thread stands; nothing of it is left behind."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="willis-bench-")))
        run, state = home / "run", home / "state"
        words = ["--run-dir", str(run), "--state-dir", str(state), "--pin-dir", str(pins / "willis")]
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "willis", "engine", "--node", "bench", *words], stdout=log, stderr=log
            )
        stack.callback(HaproxyEngine(run, state).stop)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        engine = _Engine(home, process.pid)
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(Unreachable):
                engine.client.get("/status")
                yield engine
                return
            time.sleep(0.1)
        raise Unable(f"The engine did not start: {(home / 'log').read_text()[-500:]}")
