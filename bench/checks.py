"""``./dev bench checks``: what looking costs the node: CPU of the engine's own checks beside ``echoscu``.

200 addresses of the loopback, all of one small SCP (``bench.scp``), are looked at every 5 s by the
engine's schedule, as it does it; the clock is the CPU time of this process, so the server's work does
not count. In the same round dcmtk's ``echoscu`` asks the same server, one process a check; its CPU
time is that of the children.
"""

from __future__ import annotations

import asyncio
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from statistics import median

from rich.table import Table

from bench.topology import Unable
from willis.health.looks import Looks
from willis.health.schedule import Schedule
from willis.model.check import Check, Deep, Dicom, DicomAsk, HalfOpen, Question, Target
from willis.plan.verdict import Result
from willis.terminal import table as plain_table

_TARGETS = 200
_INTERVAL_S = 5.0
_INTERVALS = 2
"""That are measured. Looks come up to 5 % sooner than the interval, so a core has some more to do."""
_FIRST = IPv4Address("127.77.0.1")
_BUSY_TARGET = 5.0
"""Per cent of one core for DICOM echoes."""
_CHEAPER_TARGET = 20.0
_PROCESSES = 20
"""Runs of echoscu a round: enough for a mean, and over in a second or two."""
_ECHOSCU = shutil.which("echoscu", path="/usr/bin:/usr/local/bin")
"""dcmtk's: pynetdicom has one of this name too."""
_ECHO = Dicom(ask=DicomAsk("PACS1", "WILLIS"))
_KINDS: dict[str, tuple[Question, Deep | None]] = {
    "dicom-echo": (_ECHO, None),
    "tcp": (HalfOpen(), None),
    "tcp, each fifth dicom-echo": (HalfOpen(), Deep(_ECHO, 4)),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of check over all rounds."""

    kind: str
    checks: int
    good: int
    ms: float
    """CPU a check; the median of the rounds."""
    core: float
    """Per cent of one core with 200 targets every 5 s."""
    took_ms: float
    """Wall clock of a check; the median."""


@dataclass(frozen=True, slots=True)
class Figures:
    rows: list[Row]
    process_ms: float
    """CPU of an echoscu process; the median of the rounds."""
    cheaper: float
    """How often a DICOM echo of ours goes into one of echoscu; the median of the rounds."""


def measure(rounds: int, tell: Callable[[str], None]) -> Figures:
    """``rounds``: 1 to 100, each over every kind. Raises Unable, in one sentence."""
    if _ECHOSCU is None:
        raise Unable("The bench of checks needs dcmtk's echoscu: apt-get install dcmtk.")
    found: dict[str, list[tuple[float, list[Result]]]] = {kind: [] for kind in _KINDS}
    processes: list[float] = []
    with _server() as port:
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            for kind, (question, deep) in _KINDS.items():
                found[kind].append(asyncio.run(_looks(port, question, deep)))
            processes.append(_echoscu(port))
    rows = [_row(kind, each) for kind, each in found.items()]
    ours = [spent / max(len(results), 1) * 1000 for spent, results in found["dicom-echo"]]
    cheaper = median(theirs / own for theirs, own in zip(processes, ours, strict=True))
    return Figures(rows, median(processes), cheaper)


async def _looks(port: int, question: Question, deep: Deep | None) -> tuple[float, list[Result]]:
    """CPU seconds and results of two intervals of a schedule that has settled."""
    results: list[Result] = []
    check = Check(question, interval_s=_INTERVAL_S, timeout_s=_INTERVAL_S, deep=deep)
    schedule = Schedule(lambda _, result: results.append(result), look=Looks().look)
    schedule.set({Target(_FIRST + n, port, question, deep): check for n in range(_TARGETS)})
    try:
        await asyncio.sleep(_INTERVAL_S)
        results.clear()
        began = time.process_time()
        await asyncio.sleep(_INTERVALS * _INTERVAL_S)
        return time.process_time() - began, list(results)
    finally:
        schedule.close()


def _echoscu(port: int) -> float:
    """CPU milliseconds of one process, the fork included."""
    words = [str(_ECHOSCU), "-aec", "PACS1", str(_FIRST), str(port)]
    before = _children() + time.process_time()
    for _ in range(_PROCESSES):
        subprocess.run(words, check=True, timeout=30, stdout=subprocess.DEVNULL)
    return (_children() + time.process_time() - before) / _PROCESSES * 1000


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _row(kind: str, rounds: list[tuple[float, list[Result]]]) -> Row:
    every = [result for _, results in rounds for result in results]
    ms = median(spent / max(len(results), 1) * 1000 for spent, results in rounds)
    core = median(spent for spent, _ in rounds) / (_INTERVALS * _INTERVAL_S) * 100
    return Row(
        kind,
        len(every),
        sum(result.ok for result in every),
        ms,
        core,
        median(result.took_ms for result in every),
    )


def table(figures: Figures) -> Table:
    """What a terminal of 80 columns shows."""
    shown = plain_table("check", "checks", "good", "CPU", f"{_TARGETS} every {_INTERVAL_S:g} s", "answer")
    for row in figures.rows:
        busy = f"{row.core:.1f} % of a core"
        shown.add_row(
            row.kind, str(row.checks), str(row.good), f"{row.ms:.2f} ms", busy, f"{row.took_ms:.1f} ms"
        )
    shown.add_row("echoscu, a process each", "", "", f"{figures.process_ms:.2f} ms", "", "")
    shown.caption = "; ".join(
        f"{what}: {'met' if met else 'missed'}" for what, met in _targets(figures).items()
    )
    return shown


def as_json(figures: Figures) -> dict[str, object]:
    return {**asdict(figures), "targets": _targets(figures)}


def _targets(figures: Figures) -> dict[str, bool]:
    echo = figures.rows[0]
    return {
        f"dicom-echo takes at most {_BUSY_TARGET:g} % of a core": echo.core <= _BUSY_TARGET,
        f"and {_CHEAPER_TARGET:g} of them less than one echoscu (now {figures.cheaper:.0f})": figures.cheaper
        >= _CHEAPER_TARGET,
        "every look is good": all(row.good == row.checks > 0 for row in figures.rows),
    }


@contextmanager
def _server() -> Iterator[int]:
    """The port of the SCP, on every loopback address."""
    with socket.create_server(("", 0)) as listener:
        port = int(listener.getsockname()[1])
    words = [sys.executable, "-m", "bench.scp", str(port)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await(port, process)
        yield port
    finally:
        process.kill()
        process.wait()


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        if asyncio.run(Looks().look(Target(_FIRST, port), Check())).ok:
            return
        time.sleep(0.1)
    raise Unable(f"The SCP does not listen on port {port}.")
