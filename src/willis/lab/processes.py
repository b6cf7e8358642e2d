"""Processes of a twin: starting, finding, ending.

Nothing is remembered. A process belongs to a twin if its network namespace is one of the
twin's or its environment carries the twin's mark, so whatever a piece leaves behind is
found too (HAProxy detaches itself from the engine). The environment also says which
machine and which piece it is.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MARK = "WILLIS_TWIN"
"""Environment variable: the directory of the twin that a process belongs to."""
MACHINE = "WILLIS_LAB_MACHINE"
PIECE = "WILLIS_LAB_PIECE"

_PROC = Path("/proc")
_PATIENCE_S = 3.0
_GIVE_UP_S = 10.0


@dataclass(frozen=True, slots=True)
class Process:
    """A running or frozen process of a twin."""

    pid: int
    machine: str
    piece: str
    frozen: bool


def start(argv: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, detached, with its output appended to ``log``."""
    with log.open("ab") as out:
        return subprocess.Popen(
            argv,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
        )


def find(directory: Path, inodes: Mapping[int, str]) -> list[Process]:
    """All processes of the twin in ``directory`` whose namespaces are ``inodes``; zombies are not."""
    return list(_scan(str(directory), inodes))


def end(directory: Path, inodes: Mapping[int, str]) -> list[int]:
    """End every process of the twin, politely, then by force. The pids that resist even that.

    This process and its ancestors are spared: ``lab down`` may be called from inside.
    """
    spared = frozenset(_ancestry())
    deadline = time.monotonic() + _PATIENCE_S
    found = _others(directory, inodes, spared)
    tell(found, signal.SIGTERM)
    tell(found, signal.SIGCONT)
    while found and time.monotonic() < deadline + _GIVE_UP_S:
        if time.monotonic() > deadline:
            tell(found, signal.SIGKILL)
        time.sleep(0.05)
        found = _others(directory, inodes, spared)
    return [process.pid for process in found]


def tell(processes: Iterable[Process], number: signal.Signals) -> None:
    """Send a signal to each process that still is."""
    for process in processes:
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            continue


def _others(directory: Path, inodes: Mapping[int, str], spared: frozenset[int]) -> list[Process]:
    return [process for process in _scan(str(directory), inodes) if process.pid not in spared]


def _scan(mark: str, inodes: Mapping[int, str]) -> Iterator[Process]:
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            found = _look(entry, mark, inodes)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if found is not None:
            yield found


def _look(entry: Path, mark: str, inodes: Mapping[int, str]) -> Process | None:
    home = inodes.get((entry / "ns" / "net").stat().st_ino) if inodes else None
    environment = _environment(entry)
    if home is None and environment.get(MARK) != mark:
        return None
    name, state = _name_and_state(entry)
    if state in "ZX":
        return None
    piece = "haproxy" if name == "haproxy" else environment.get(PIECE, "")
    return Process(int(entry.name), home or environment.get(MACHINE, ""), piece, state in "Tt")


def _environment(entry: Path) -> dict[str, str]:
    """The environment that a process was started with; empty where we may not read it."""
    try:
        raw = (entry / "environ").read_bytes()
    except PermissionError:
        return {}
    pairs = (item.partition("=") for item in raw.decode("utf-8", "replace").split("\0"))
    return {key: value for key, _, value in pairs}


def _name_and_state(entry: Path) -> tuple[str, str]:
    """Command name and one-letter state (proc_pid_stat(5), fields 2 and 3)."""
    head, _, rest = (entry / "stat").read_text(errors="replace").rpartition(")")
    return head.partition("(")[2], rest.split()[0]


def _ancestry() -> Iterator[int]:
    """This process and all above it."""
    pid = os.getpid()
    while pid > 0:
        yield pid
        _, _, rest = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")
        pid = int(rest.split()[1])
