"""``./dev bench failover``: how long clients meet a killed server, with 1 s checks, in both layers.

A twin of three echo hosts; a client opens a connection every 20 ms to a layer-4 and a layer-7
service. Each round kills the echo server of one host with SIGKILL and notes the last connection
that failed. Times are of one clock (CLOCK_MONOTONIC) on one machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.table import Table

from bench.topology import Unable
from willis.lab import build, control, make, probe
from willis.lab.twin import Twin
from willis.terminal import table as plain_table

TARGET_S = 2.0
_WATCH_S = 4.0
"""Seconds a round goes on after the kill: twice the target."""
_SERVICES = {"layer 4 dr": ("10.62.0.101", 7001), "layer 7 proxy": ("10.62.0.101", 7002)}
_DOCUMENT = """\
version: 1
site: failover
interfaces:
  eth0: {addresses: [10.62.0.2/24]}
hosts: {s1: 10.62.0.11, s2: 10.62.0.12, s3: 10.62.0.13}
defaults:
  scheduler: wrr
  check: {interval: 1s, timeout: 1s, rise: 2, fall: 2}
services:
  layer4: {vip: 10.62.0.101, ports: 7001, forwarding: dr, pool: [s1, s2, s3]}
  layer7: {vip: 10.62.0.101, ports: 7002, forwarding: proxy, pool: [s1, s2, s3]}
"""
_CLIENT = """\
import socket, sys, time
address, port, end = sys.argv[1], int(sys.argv[2]), time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    began = time.monotonic()
    try:
        with socket.create_connection((address, port), timeout=5) as s:
            s.settimeout(5)
            s.sendall(b"x")
            ok = bool(s.recv(100))
    except OSError:
        ok = False
    print(began, int(ok), flush=True)
    time.sleep(0.02)
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One layer, over all rounds: seconds from the kill to the start of the last failed connection."""

    path: str
    min: float
    median: float
    max: float
    tried: int
    failed: int
    met: bool


def measure(rounds: int, tell: Callable[[str], None]) -> list[Row]:
    """Kill a server ``rounds`` times (1 to 100). Raises Unable, in one sentence."""
    lacking = probe.missing_for_full()
    if lacking:
        raise Unable(f"The failover bench needs a full twin. Missing: {'; '.join(lacking)}.")
    outcomes: dict[str, list[list[tuple[float, bool]]]] = {path: [] for path in _SERVICES}
    with _twin(tell) as twin:
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            for path, tries in _round(twin, f"s{number % 3 + 1}").items():
                outcomes[path].append(tries)
    return [_row(path, each) for path, each in outcomes.items()]


def table(rows: list[Row]) -> Table:
    """What a terminal of 80 columns shows."""
    shown = plain_table("path", "min", "median", "max", "tried", "failed", f"target {TARGET_S:.0f} s")
    for row in rows:
        seconds = (f"{s:.2f} s" for s in (row.min, row.median, row.max))
        verdict = "met" if row.met else "missed"
        shown.add_row(row.path, *seconds, str(row.tried), str(row.failed), verdict)
    return shown


def as_json(rows: list[Row]) -> dict[str, object]:
    return {"target_s": TARGET_S, "rows": [asdict(row) for row in rows]}


@contextmanager
def _twin(tell: Callable[[str], None]) -> Iterator[Twin]:
    with tempfile.TemporaryDirectory(prefix="willis-bench-") as folder:
        os.environ["WILLIS_LAB_DIR"] = folder
        document = Path(folder, "failover.yaml")
        document.write_text(_DOCUMENT)
        name = f"b{os.getpid()}"
        try:
            yield make.make(make.Order(name, str(document)), tell)
        finally:
            build.down(name)


def _round(twin: Twin, host: str) -> dict[str, list[tuple[float, bool]]]:
    """Each connection as seconds after the kill, and whether it was answered."""
    clients = {path: _client(twin, *where) for path, where in _SERVICES.items()}
    time.sleep(1)
    killed = time.monotonic()
    control.kill(twin, host, "generic")
    outputs = {path: client.communicate(timeout=60)[0] for path, client in clients.items()}
    control.restore(twin, host, "generic")
    time.sleep(3)
    return {path: _tries(output, killed) for path, output in outputs.items()}


def _client(twin: Twin, address: str, port: int) -> subprocess.Popen[str]:
    words = [*twin.enter("client1"), sys.executable, "-c", _CLIENT, address, str(port), str(1 + _WATCH_S)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def _tries(output: str, killed: float) -> list[tuple[float, bool]]:
    lines = (line.split() for line in output.splitlines())
    return [(float(began) - killed, answered == "1") for began, answered in lines]


def _row(path: str, rounds: list[list[tuple[float, bool]]]) -> Row:
    last = [max((at for at, ok in tries if not ok), default=0.0) for tries in rounds]
    every = [ok for tries in rounds for _, ok in tries]
    return Row(
        path, min(last), median(last), max(last), len(every), every.count(False), max(last) <= TARGET_S
    )
