"""``./dev bench l7``: what the generated configuration costs beside one tuned by hand.

Both proxies take turns under the same load, and only figures of the same round are
compared. Rates depend on the machine and its other work; CPU a request hardly does.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from rich.console import Group

from bench.proxies import Proxy, both, serve, service, site, up
from bench.topology import Unable
from willis.engines.haproxy.driver import HaproxyEngine
from willis.model.config import Config
from willis.model.service import Application
from willis.plan.diff import diff
from willis.terminal import table as plain_table

TARGET_RATE = 0.95
TARGET_SCALE_S = 2.0
_LOAD_S = 3
_MIB = 512
"""Through each proxy in each round."""
_SERVICES = 1000

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """``rate``: units a second. ``cpu``: µs a request or connection, or seconds a GiB. Medians of the rounds.

    ``ratio``: the rate by Willis over that by hand, of the same round, and ``cpu_ratio`` likewise.
    """

    case: str
    hand: float
    willis: float
    ratio: float
    hand_cpu: float
    willis_cpu: float
    cpu_ratio: float
    unit: str


@dataclass(frozen=True, slots=True)
class Report:
    rounds: int
    rows: tuple[Row, ...]
    services: int
    compile_s: float
    check_s: float
    reload_s: float

    def as_json(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Sample:
    rate: float
    cpu: float


def measure(rounds: int, tell: Tell) -> Report:
    """``rounds`` of every load through both proxies in turn. Raises Unable."""
    if shutil.which("wrk") is None:
        raise Unable("The layer-7 bench needs wrk: apt-get install wrk.")
    samples: dict[str, list[tuple[_Sample, _Sample]]] = {case: [] for case in _CASES}
    with both() as (hand, willis):
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            for case, load in _CASES.items():
                order = (hand, willis) if number % 2 == 0 else (willis, hand)
                found = {proxy.name: load(proxy) for proxy in order}
                samples[case].append((found[hand.name], found[willis.name]))
    tell(f"{_SERVICES:,} services")
    return Report(rounds, tuple(_row(*item) for item in samples.items()), _SERVICES, *_scale())


def table(report: Report) -> Group:
    """What a terminal of 80 columns shows."""
    shown = plain_table("load", "by hand", "Willis", "x", "CPU by hand", "CPU Willis", "x")
    for row in report.rows:
        cells = (f"{row.hand:,.0f}", f"{row.willis:,.0f}", f"{row.ratio:.2f}")
        cpus = (f"{row.hand_cpu:.3g}", f"{row.willis_cpu:.3g}", f"{row.cpu_ratio:.2f}")
        shown.add_row(f"{row.case} ({row.unit})", *cells, *cpus)
    whole = report.compile_s + report.check_s + report.reload_s
    return Group(
        f"Medians of {report.rounds} rounds in turn; CPU in µs, for bytes in s a GiB",
        shown,
        f"target: rate at least {TARGET_RATE}x by hand\n",
        f"{report.services:,} services: compile {report.compile_s:.2f} s, check {report.check_s:.2f} s, "
        f"reload {report.reload_s:.2f} s; together {_judged(whole, TARGET_SCALE_S)}",
    )


def _judged(seconds: float, target_s: float) -> str:
    verdict = "met" if seconds <= target_s else "missed"
    return f"{seconds:.2f} s, target {target_s:g} s {verdict}"


def _row(case: str, samples: list[tuple[_Sample, _Sample]]) -> Row:
    return Row(
        case=case,
        hand=median(hand.rate for hand, _ in samples),
        willis=median(willis.rate for _, willis in samples),
        ratio=median(willis.rate / hand.rate for hand, willis in samples),
        hand_cpu=median(hand.cpu for hand, _ in samples),
        willis_cpu=median(willis.cpu for _, willis in samples),
        cpu_ratio=median(willis.cpu / hand.cpu for hand, willis in samples),
        unit="MiB/s" if case == "bytes" else "1/s",
    )


def _keep_alive(proxy: Proxy) -> _Sample:
    return _wrk(proxy)


def _new_connections(proxy: Proxy) -> _Sample:
    return _wrk(proxy, "--header", "Connection: close")


def _wrk(proxy: Proxy, *options: str) -> _Sample:
    address, port = proxy.web
    before = proxy.cpu_s()
    done = subprocess.run(
        ["wrk", "-t1", "-c32", f"-d{_LOAD_S}s", *options, f"http://{address}:{port}/"],
        capture_output=True,
        text=True,
        timeout=_LOAD_S + 60,
        check=True,
    )
    found = re.search(r"(\d+) requests in ([\d.]+)s", done.stdout)
    if found is None or "Non-2xx" in done.stdout:
        raise Unable(f"wrk was not served by {proxy.name}: {json.dumps(done.stdout[-200:])}.")
    requests = int(found[1])
    return _Sample(requests / float(found[2]), (proxy.cpu_s() - before) / requests * 1e6)


def _bytes(proxy: Proxy) -> _Sample:
    before, began = proxy.cpu_s(), time.monotonic()
    left = _MIB << 20
    buffer = bytearray(1 << 20)
    with socket.create_connection(proxy.bytes, timeout=60) as wire:
        wire.sendall(str(_MIB).encode())
        while left:
            got = wire.recv_into(buffer)
            if not got:
                raise Unable(f"{proxy.name} ended the connection too early.")
            left -= got
    seconds = time.monotonic() - began
    return _Sample(_MIB / seconds, (proxy.cpu_s() - before) / (_MIB / 1024))


_CASES: dict[str, Callable[[Proxy], _Sample]] = {
    "requests": _keep_alive,
    "connections": _new_connections,
    "bytes": _bytes,
}


def _scale() -> tuple[float, float, float]:
    """Seconds to compile, to check, and to reload a running HAProxy to ``_SERVICES`` services."""
    home = Path(tempfile.mkdtemp(prefix="willis-bench-"))
    engine = HaproxyEngine(home, home)
    try:
        serve(engine, _sites(1))
        many = _sites(_SERVICES)
        began = time.monotonic()
        want = engine.compile(many, up(many))
        compiled = time.monotonic()
        engine.check(want)
        checked = time.monotonic()
        engine.apply(diff(engine.name, engine.observe(), want))
        return compiled - began, checked - compiled, time.monotonic() - checked
    finally:
        engine.stop()
        shutil.rmtree(home)


def _sites(number: int) -> Config:
    """So many HTTP services, each on a port of its own."""
    services = (service(f"Web{n}", 10_000 + n, Application.HTTP) for n in range(number))
    return replace(site(), services=tuple(services))
