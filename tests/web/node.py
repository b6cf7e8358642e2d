"""A real engine and a real web process before it, as two users where this is root."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import forked
from tests.ports import free_port

WILLIS = [sys.executable, "-m", "willis"]
USER = "nobody"
PASSWORD = "a long enough sentence"
_ANSWER_S = 60.0
_COMMAND_S = 120.0


def wait_until(condition: Callable[[], Any], limit_s: float = 60.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


class Node:
    """The engine carries everything in HAProxy, so it needs no rights and no network of its own."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.run, self.state, self.web_state = base / "run", base / "state", base / "web"
        self.engine: subprocess.Popen[bytes] | None = None
        self.web: subprocess.Popen[bytes] | None = None
        self.port = 0

    def start_engine(self) -> None:
        options = [f"--run-dir={self.run}", f"--state-dir={self.state}", "--layer4=haproxy"]
        if os.geteuid() == 0:
            options.append(f"--web-user={USER}")
        self.engine = self._start("engine", *options)
        wait_until(lambda: "is ready" in self.log("engine"))

    def start_web(self, *options: str) -> None:
        before = len(self.log("web"))
        self.port = self.port or free_port("127.0.0.1")  # the same one again after a restart
        listen = f"--listen=127.0.0.1:{self.port}"
        places = (f"--run-dir={self.run}", f"--state-dir={self.web_state}", f"--user={USER}")
        self.web = self._start("web", listen, *places, *options)
        wait_until(lambda: "fingerprint" in self.log("web")[before:] or self.web.poll() is not None)
        found = re.search(r"https://127\.0\.0\.1:([0-9]+)", self.log("web")[before:])
        assert found, self.log("web")
        self.port = int(found[1])
        wait_until(self._answers)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.base / f"{arguments[0]}.log").open("ab") as log:
            return subprocess.Popen([*WILLIS, *arguments], stderr=log, stdout=log, stdin=subprocess.DEVNULL)

    def log(self, process: str) -> str:
        path = self.base / f"{process}.log"
        return path.read_text() if path.exists() else ""

    def end(self, process: subprocess.Popen[bytes] | None, number: int = signal.SIGTERM) -> None:
        if process is not None and process.poll() is None:
            process.send_signal(number)
            process.wait(60)

    def end_haproxy(self) -> None:
        """It outlives the engine, as it should anywhere else."""
        with suppress(OSError, ValueError):
            os.kill(int((self.run / "haproxy.pid").read_text()), signal.SIGTERM)

    def console(self, *arguments: str) -> Any:
        """What the command line on the node itself answers."""
        return json.loads(self.willis(*arguments, "--json"))

    def willis(self, *arguments: str, stdin: str = "") -> str:
        """What the command line on the node itself prints; it must succeed."""
        environment = {**os.environ, "WILLIS_SOCKET": str(self.run / "engine.sock")}
        found = forked.Command(arguments, environment, stdin).end(_COMMAND_S)
        assert found.returncode == 0, found.stdout + found.stderr
        return found.stdout

    def trust(self) -> ssl.SSLContext:
        """A client that knows the certificate made at the first start, and nothing else."""
        return ssl.create_default_context(cadata=(self.web_state / "certificate.pem").read_text())

    @contextmanager
    def browser(self, source: str = "127.0.0.1") -> Iterator[httpx.Client]:
        """A client with a cookie jar, from an address of its own; so each has its own rate."""
        transport = httpx.HTTPTransport(verify=self.trust(), local_address=source)
        origin = f"https://127.0.0.1:{self.port}"
        headers = {"Origin": origin}
        with httpx.Client(transport=transport, base_url=origin, headers=headers, timeout=_ANSWER_S) as client:
            yield client

    def raw(self, request: bytes) -> bytes:
        """What comes back to bytes that no client library would send."""
        address = ("127.0.0.1", self.port)
        with (
            socket.create_connection(address, _ANSWER_S) as plain,
            self.trust().wrap_socket(plain, server_hostname="127.0.0.1") as sock,
        ):
            sock.sendall(request)
            parts = []
            while part := sock.recv(65536):
                parts.append(part)
        return b"".join(parts)


@contextmanager
def running(base: Path) -> Iterator[Node]:
    """Both processes, and the first administrator ``ann``; ended whatever happens."""
    if os.geteuid() == 0:
        for path in (Path(__file__), Path(sys.executable).resolve()):
            closed = [str(p) for p in path.parents if not p.stat().st_mode & 0o001]
            if closed:
                pytest.skip(f"an unprivileged user cannot reach {path}: {closed[0]} is closed to others")
    node = Node(base)
    try:
        node.start_engine()
        node.start_web()
        yield node
    finally:
        node.end(node.web)
        node.end(node.engine)
        node.end_haproxy()
