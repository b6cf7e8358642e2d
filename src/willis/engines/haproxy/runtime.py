"""Clients for HAProxy's two sockets: a worker's runtime API, and the master's.

Connections are one-shot: a kept one would stay with the old worker after a reload.
Commands are given by our own code from checked tokens, never from a user's text.
"""

from __future__ import annotations

import logging
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from willis.engines.port import EngineError

log = logging.getLogger("willis.haproxy")

_ANSWER_S = 10.0
_MASTER_S = 5.0
"""After each start and reload the master executes itself anew: it is deaf for a moment, and who
spoke to it just before is cut off. Each of its answers has at least one line.
"""
_STALLED_S = 2.0
"""About one answer in 30,000 that the master hands on from a worker never ends (seen with 2.6.12 where
several ask at once). All that the master is asked may be asked again.
"""
_RETRY_S = 0.02
_AT_ONCE = 50
"""Commands on one line; it must fit into HAProxy's buffer of 16 KiB."""


class Runtime:
    """A worker's runtime socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(self, command: str) -> str:
        """One command's answer. Raises EngineError if nobody answers."""
        return _exchange(self._path, command)

    def stream(self, command: str) -> socket.socket:
        """The answer to a command that never ends. Raises EngineError if nobody answers."""
        sock = socket.socket(socket.AF_UNIX)
        try:
            _connect(sock, self._path, _ANSWER_S)
            sock.sendall(command.encode("ascii") + b"\n")
        except OSError as error:
            sock.close()
            raise EngineError(f"HAProxy does not answer on {self._path} ({error.strerror})") from error
        sock.setblocking(False)
        return sock

    def run(self, commands: Sequence[str]) -> None:
        """Commands whose success is silence, in order. Raises EngineError with HAProxy's words."""
        for start in range(0, len(commands), _AT_ONCE):
            line = ";".join(commands[start : start + _AT_ONCE])
            said = " ".join(_exchange(self._path, line).split())
            if said:
                raise EngineError(f"HAProxy did not take a change over its runtime socket: {said}")

    def info(self) -> dict[str, str]:
        """The answer to ``show info``."""
        pairs = (line.partition(":") for line in self.ask("show info").splitlines())
        return {key.strip(): value.strip() for key, _, value in pairs if key}


@dataclass(frozen=True, slots=True)
class Workers:
    """What the master says of its processes."""

    reloads: int
    """Since the master started, good or not."""
    failed: int
    """Reloads in a row, until now, that HAProxy refused."""
    current: int | None
    old: tuple[int, ...]
    """Workers that only finish what they carry."""

    @property
    def all(self) -> tuple[int, ...]:
        return self.old if self.current is None else (self.current, *self.old)


class Master:
    """The master's socket (management guide, "Master CLI").

    HAProxy 2.6.12 gives it ten sessions, and may lose one for good with each question that it hands on to
    a worker, above all to one that is ending. So the current worker is asked by its own socket, an old one
    once, and a master that hears nobody any more executes itself anew, which costs no connection.
    """

    def __init__(
        self, path: Path, runtime: Runtime | None = None, anew: Callable[[], None] | None = None
    ) -> None:
        """``runtime``: the current worker's socket. ``anew``: tells the master to execute itself anew."""
        self._path = path
        self._runtime = runtime
        self._anew = anew
        self._current: int | None = None

    def attentive(self) -> Workers:
        """The same as ``workers``, of a master that executes itself anew first if it hears nobody."""
        try:
            return self.workers()
        except EngineError as error:
            if self._anew is None:
                raise
            log.warning("%s; its master executes itself anew", error)
            self._anew()
            return self.workers()

    def workers(self) -> Workers:
        """The answer to ``show proc``. Raises EngineError."""
        answer = _exchange(self._path, "show proc", _MASTER_S)
        master = re.search(r"^\d+\s+master\s+(\d+) \[failed: (\d+)\]", answer, re.MULTILINE)
        if master is None:
            raise EngineError(f"HAProxy's master answered 'show proc' with {answer[:80]!r}, not with a list")
        current, _, old = answer.partition("# old workers")
        pids = [int(pid) for pid in _WORKER.findall(current)]
        self._current = pids[0] if pids else None
        return Workers(
            reloads=int(master[1]),
            failed=int(master[2]),
            current=self._current,
            old=tuple(int(pid) for pid in _WORKER.findall(old)),
        )

    def ask(self, worker: int, command: str) -> str:
        """A command's answer from one of ``workers``; empty if it is just ending. Raises EngineError."""
        if self._runtime is not None and worker == self._current:
            return self._runtime.ask(command)
        return _exchange(self._path, f"@!{worker} {command}", _MASTER_S, once=True)

    def asked(self, command: str) -> dict[int, str]:
        """All workers' answers. Raises EngineError."""
        return {worker: self.ask(worker, command) for worker in self.attentive().all}

    def listens(self, worker: int | None, among: Workers) -> bool:
        """Whether an old worker has not yet been told, or not heard, that it is old. Raises EngineError."""
        if worker is None or worker not in among.old:
            return False
        return "Stopping: 1" not in self.ask(worker, "show info")


_WORKER = re.compile(r"^(\d+)\s+worker\s", re.MULTILINE)
_SESSION = re.compile(r"^(0x[0-9a-f]+): .* be=(\S+) srv=(\S+) ", re.MULTILINE)


def sessions(report: str) -> Iterator[tuple[str, str, str]]:
    """(id, service, server) of each line that ``show sess`` answered."""
    for found in _SESSION.finditer(report):
        yield found[1], found[2], found[3]


def _exchange(path: Path, line: str, patience_s: float = 0.0, *, once: bool = False) -> str:
    """One line and all that is answered.

    ``patience_s``: how long it is said again where nobody listens, or who did is gone or stalls.
    ``once``: not where they heard it and said nothing.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            answer = _talk(path, line, _STALLED_S if patience_s else _ANSWER_S)
            if answer or once or time.monotonic() >= deadline:
                return answer
            time.sleep(_RETRY_S)
        except OSError as error:
            passing = isinstance(error, ConnectionError | FileNotFoundError | TimeoutError)
            if passing and time.monotonic() < deadline:
                time.sleep(_RETRY_S)
                continue
            raise EngineError(
                f"HAProxy does not answer on {path} ({error.strerror or error}); traffic goes on if it runs, "
                "the change was not made"
            ) from error


def _talk(path: Path, line: str, timeout_s: float) -> str:
    """``timeout_s``: for each part of the answer."""
    with socket.socket(socket.AF_UNIX) as sock:
        _connect(sock, path, timeout_s)
        sock.sendall(line.encode("ascii") + b"\n")
        sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(65_536), b"")).decode("utf-8", "replace")


def _connect(sock: socket.socket, path: Path, timeout_s: float) -> None:
    """``timeout_s``: for this, and for each send and receive afterwards. Raises OSError."""
    deadline = time.monotonic() + timeout_s
    sock.settimeout(timeout_s)
    while True:
        try:
            sock.connect(str(path))
        except (
            BlockingIOError
        ):  # no room in the queue, for which a socket with a time-out never waits (unix(7))
            if time.monotonic() >= deadline:
                raise
            time.sleep(_RETRY_S)
        else:
            return
