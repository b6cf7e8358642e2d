"""A real HAProxy on loopback addresses of its own, with small web servers behind it."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tests.builders import seen, site, web
from willis.engines.haproxy.driver import HaproxyEngine
from willis.engines.haproxy.process import MasterProcess
from willis.engines.haproxy.runtime import Master
from willis.model.config import Config
from willis.model.node import Host
from willis.model.service import RealServer, VirtualService
from willis.model.status import Status
from willis.plan.diff import diff

PORT = 8237
_NET = f"127.{os.getpid() % 250 + 2}.{os.getpid() // 250 % 250}"


def address(number: int) -> IPv4Address:
    return IPv4Address(f"{_NET}.{number}")


def real(number: int, **changes: object) -> RealServer:
    return replace(RealServer(f"vna{number}", address(number), PORT), **changes)


def service(vip: int = 101, name: str = "Web", **changes: object) -> VirtualService:
    """An HTTP service over vna1, vna2 and vna3, on addresses of this test run."""
    local = replace(web(name), vip=address(vip), pool=tuple(map(real, (1, 2, 3))))
    return replace(local, **changes)


def local_site(*services: VirtualService) -> Config:
    return replace(site(*services), hosts=tuple(Host(f"vna{n}", address(n)) for n in range(1, 6)))


class Proxy:
    """An engine and what tests ask of it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.engine = self.restarted()

    def restarted(self) -> HaproxyEngine:
        """An engine as after ``kill -9`` and a new start: it shares nothing but the directories."""
        return HaproxyEngine(self.home, self.home)

    def apply(self, config: Config, status: Status | None = None) -> int:
        """Check and converge as the loop does; the number of changes."""
        want = self.engine.compile(config, status or seen(config))
        changes = diff("haproxy", self.engine.observe(), want)
        self.engine.check(want)
        self.engine.apply(changes)
        eventually(lambda: self.engine.observe() == want)  # a new worker begins to answer a little later
        return len(changes)

    def worker(self) -> int | None:
        return Master(self.home / "haproxy-master.sock").workers().current

    def master(self) -> int | None:
        return self.process().pid()

    def process(self) -> MasterProcess:
        h = self.home
        return MasterProcess(
            h / "haproxy-loaded.cfg", h / "haproxy.pid", h / "haproxy-master.sock", h / "haproxy.log"
        )


@contextmanager
def running() -> Iterator[Proxy]:
    """An engine that is gone again afterwards, with all that it started."""
    if shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None:
        pytest.skip("the haproxy binary is not installed")
    home = Path(tempfile.mkdtemp(prefix="willis-hx-"))
    found = Proxy(home)
    try:
        yield found
    finally:
        found.engine.stop()
        assert found.master() is None
        shutil.rmtree(home)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with running() as found:
        yield found


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that leave in the middle are part of these tests."""


class WebServer:
    """Answers with its name and the headers it got; can be killed and raised again."""

    def __init__(self, number: int) -> None:
        self.name = f"vna{number}"
        self.cookie = self.kind = ""
        """What it sets with each answer and says of its type, if anything."""
        self._at = (str(address(number)), PORT)
        self.raise_again()

    def raise_again(self) -> None:
        name = self.name
        own = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = f"{name}\n{self.requestline}\n{self.headers}".encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("X-Name", name)
                if own.kind:
                    self.send_header("Content-Type", own.kind)
                if own.cookie:
                    self.send_header("Set-Cookie", own.cookie)
                self.end_headers()
                self.wfile.write(body)

            do_DELETE = do_GET  # noqa: N815 - the name is the library's

            def log_message(self, *_: object) -> None:
                pass

        self._server = _QuietServer(self._at, Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def kill(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def servers() -> Iterator[dict[str, WebServer]]:
    made = {f"vna{n}": WebServer(n) for n in (1, 2, 3, 4)}
    yield made
    for one in made.values():
        one.kill()


class Browser:
    """Keeps its cookies, opens a connection for each page."""

    def __init__(self, vip: int = 101) -> None:
        self.vip = str(address(vip))
        self.cookie = ""

    def get(self, **headers: str) -> str:
        """The page."""
        connection = http.client.HTTPConnection(self.vip, PORT, timeout=30)
        sent = {"Cookie": self.cookie} if self.cookie else {}
        connection.request("GET", "/", headers={**sent, **headers})
        answer = connection.getresponse()
        page = answer.read().decode()
        assert answer.status == 200, page
        given = answer.headers.get("Set-Cookie")
        if given:
            self.cookie = given.partition(";")[0]
        connection.close()
        return page

    def server(self) -> str:
        """Which server answers."""
        return self.get().partition("\n")[0]


def raw(request: bytes, vip: int = 101) -> bytes:
    """The head of what is answered to these bytes."""
    with socket.create_connection((str(address(vip)), PORT), timeout=30) as sock:
        sock.sendall(request)
        return head(sock)


def head(sock: socket.socket) -> bytes:
    """What arrives, until there is a whole head or no more comes; it may come in pieces."""
    said = b""
    while b"\r\n\r\n" not in said and (more := sock.recv(65_536)):
        said += more
    return said


def eventually(true: Callable[[], bool], limit_s: float = 30.0) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, "it never held"
        time.sleep(0.02)
