"""The master's socket while HAProxy's master executes itself anew: refused, reset, mute or stalled."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from willis.engines.haproxy import runtime
from willis.engines.haproxy.runtime import Master, Runtime
from willis.engines.port import EngineError

PROCESSES = b"""\
#<PID>          <type>          <reloads>       <uptime>        <version>
100             master          3 [failed: 0]   0d00h00m02s     2.6.12
# workers
108             worker          0               0d00h00m01s     2.6.12
# old workers
107             worker          1               0d00h00m02s     2.6.12
# programs

"""


class Socket:
    """Does with each connection what its turn says: ``reset`` it, ``end`` it, ``stall`` or answer."""

    def __init__(self, path: Path, *turns: str) -> None:
        self.heard = 0
        self._stalled: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(8)
        threading.Thread(target=self._serve, args=(turns,), daemon=True).start()

    def _serve(self, turns: tuple[str, ...]) -> None:
        for turn in turns:
            with suppress(OSError), self._listener.accept()[0] as wire:
                self.heard += 1
                if turn != "reset":  # what is closed before it was read is reset
                    wire.recv(100)
                if turn == "stall":
                    wire.sendall(PROCESSES[:100])
                    self._stalled.append(wire.dup())
                if turn == "answer":
                    wire.sendall(PROCESSES)
                if turn == "reset":
                    wire.recv(1)

    def close(self) -> None:
        for each in (self._listener, *self._stalled):
            each.close()


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="willis-hx-") as home:
        yield Path(home) / "master.sock"


@pytest.mark.parametrize(
    "turns", [("answer",), ("reset", "answer"), ("end", "answer"), ("reset", "end", "answer")]
)
def test_a_master_that_executes_itself_anew_is_asked_again(path: Path, turns: tuple[str, ...]) -> None:
    listener = Socket(path, *turns)
    try:
        found = Master(path).workers()
    finally:
        listener.close()
    assert (found.reloads, found.current, found.old) == (3, 108, (107,))


def test_an_answer_that_never_ends_is_asked_for_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_STALLED_S", 0.05)
    listener = Socket(path, "stall", "answer")
    try:
        assert Master(path).workers().current == 108
    finally:
        listener.close()


def test_a_full_queue_is_waited_for(path: Path) -> None:
    """While the master executes itself anew nobody accepts, and its queue is short."""
    with socket.socket(socket.AF_UNIX) as listener, ExitStack() as waiting:
        listener.bind(str(path))
        listener.settimeout(20)
        listener.listen(0)
        with suppress(BlockingIOError):
            while True:
                each = waiting.enter_context(socket.socket(socket.AF_UNIX))
                each.setblocking(False)
                each.connect(str(path))
        answer = Future[str]()
        threading.Thread(
            target=lambda: answer.set_result(Runtime(path).ask("show info")), daemon=True
        ).start()
        time.sleep(0.1)  # it finds no room
        waiting.close()
        asked = b""
        while not asked:
            with listener.accept()[0] as wire:
                asked = wire.recv(100)
                if asked:
                    wire.sendall(b"Pid: 1\n")
        assert answer.result(20) == "Pid: 1\n"


def test_one_that_never_comes_back_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_MASTER_S", 0.1)
    with pytest.raises(EngineError, match="does not answer"):
        Master(path).workers()


def test_a_worker_is_asked_once(path: Path) -> None:
    """Its commands are not all harmless twice, and it is not deaf in between."""
    listener = Socket(path, "reset", "answer")
    try:
        with pytest.raises(EngineError, match="Connection reset"):
            Runtime(path).ask("show info")
    finally:
        listener.close()


def test_a_worker_that_ends_with_the_question_is_not_asked_again(path: Path) -> None:
    """Each question to it may cost the master a session for good."""
    listener = Socket(path, "end", "answer")
    try:
        assert Master(path).ask(107, "show info") == ""
        assert listener.heard == 1
    finally:
        listener.close()


def test_the_current_worker_is_asked_by_its_own_socket(path: Path) -> None:
    own = path.with_name("own.sock")
    master, worker = Socket(path, "answer", "answer"), Socket(own, "answer")
    try:
        told = Master(path, Runtime(own)).asked("show info")
        assert set(told) == {107, 108}
        assert (master.heard, worker.heard) == (2, 1)
    finally:
        master.close()
        worker.close()
