"""Starts the pieces of imaging hosts and waits until their sockets are bound."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from willis.lab import processes
from willis.lab.blueprint import Machine, Piece
from willis.lab.errors import LabError
from willis.lab.servers import brief
from willis.lab.twin import Twin

ARCHIVE_PORT = 8042
"""Where Orthanc's REST answers on its own host; nothing but the host itself reaches it."""

_START_S = 60.0


@dataclass(frozen=True, slots=True)
class Starting:
    """A piece that was started and is not known to listen yet."""

    machine: str
    piece: str
    process: subprocess.Popen[bytes]
    ready: Path
    log: Path


def start(twin: Twin, machine: Machine, piece: Piece) -> Starting:
    """Start one piece of a host."""
    home = twin.directory / machine.name
    own = home / piece.name
    for directory in (home, home / "ledger", own):
        directory.mkdir(mode=0o700, exist_ok=True)
    told = brief.Brief(
        host=machine.name,
        piece=piece.name,
        ledger=str(home / "ledger" / f"{piece.name}.jsonl"),
        listens=piece.listens,
        services=piece.services,
        home=str(own),
        archive=f"http://127.0.0.1:{ARCHIVE_PORT}" if machine.piece("orthanc") else None,
    )
    told.ready_file.unlink(missing_ok=True)
    spec = home / f"{piece.name}.json"
    brief.write(told, spec)
    argv = [*twin.enter(machine.name), sys.executable, "-m", f"willis.lab.servers.{piece.name}", str(spec)]
    log = home / f"{piece.name}.log"
    process = processes.start(argv, twin.environment(machine.name, piece.name), log)
    return Starting(machine.name, piece.name, process, told.ready_file, log)


def wait(started: Iterable[Starting]) -> None:
    """Wait until every piece listens. Raises LabError with the log of one that does not."""
    deadline = time.monotonic() + _START_S
    for one in started:
        while not one.ready.exists():
            code = one.process.poll()
            if code is not None:
                raise _failed(one, f"ended with code {code}")
            if time.monotonic() > deadline:
                raise _failed(one, f"was not ready after {_START_S:.0f} s")
            time.sleep(0.02)


def _failed(one: Starting, how: str) -> LabError:
    return LabError(f"Piece {one.piece} of {one.machine} {how}. Its log ends with:\n{tail(one.log)}")


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, indented for an error."""
    try:
        found = log.read_text(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        found = []
    return "\n".join(f"  {line}" for line in found) or "  (its log is empty)"
