"""Slow clients by the hundred, in the four ways of slowhttptest, and honest ones who are all served."""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.lab.proxy import PORT, Proxy, address, eventually, local_site, service
from willis.model.proxy import Limits
from willis.model.service import RealServer

pytestmark = pytest.mark.lab

VIP = str(address(101))
EACH = 80
"""Connections of one way."""
SECONDS = 6
WAYS = {
    "headers": ["-H"],
    "bodies": ["-B", "-s", "8192"],
    "ranges": ["-R", "-a", "1", "-b", "500"],
    "reads": ["-X", "-w", "1", "-y", "1", "-z", "1", "-n", "2", "-k", "3"],
}
LARGE = b"x" * 4_000_000


class Answers(BaseHTTPRequestHandler):
    """A large page for slow readers, a small one for the others; a thread each, as many servers work."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        page = b"ok" if self.path == "/honest" else LARGE
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.do_GET()

    do_HEAD = do_GET  # noqa: N815 - the name is the library's

    def log_message(self, *_: object) -> None:
        pass


class Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request: object, client_address: object) -> None:
        """Slow clients are cut off in the middle."""


@pytest.fixture
def server() -> Iterator[None]:
    made = Quiet((str(address(5)), PORT + 6), Answers)
    threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
    yield
    made.shutdown()
    made.server_close()


def connected() -> int:
    """Connections of clients to the VIP."""
    octets = bytes(reversed(socket.inet_aton(VIP))).hex().upper()
    lines = Path("/proc/net/tcp").read_text().splitlines()
    return sum(f" {octets}:{PORT:04X} " in line.partition(":")[2][:15] and " 01 " in line for line in lines)


@contextmanager
def slow_clients() -> Iterator[list[subprocess.Popen[bytes]]]:
    """All four ways at once. They know no end of their own that would be short enough for a test."""
    common = ["-c", str(EACH), "-r", str(EACH), "-i", "2", "-l", str(SECONDS), "-p", "5"]
    argv = ["slowhttptest", "-u", f"http://{VIP}:{PORT}/", *common]
    started = [
        subprocess.Popen([*argv, *way], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for way in WAYS.values()
    ]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def honest(source: int) -> int:
    """The status of a request on a connection of its own."""
    wire = http.client.HTTPConnection(VIP, PORT, timeout=30, source_address=(f"127.79.0.{source}", 0))
    try:
        wire.request("GET", "/honest", headers={"Host": "pacs.example"})
        answer = wire.getresponse()
        answer.read()
        return answer.status
    finally:
        wire.close()


@pytest.mark.skipif(shutil.which("slowhttptest") is None, reason="slowhttptest is not installed")
@pytest.mark.parametrize(
    ("limits", "open_at_once"),
    [(Limits(), 4 * EACH), (Limits(per_client=40, per_server=50), 40)],
    ids=["usual", "limited"],
)
def test_all_honest_clients_are_served(proxy: Proxy, server: None, limits: Limits, open_at_once: int) -> None:
    """Where a server takes few connections only a limit of each client keeps places for the others."""
    pool = (RealServer("vna5", address(5), PORT + 6),)
    proxy.apply(local_site(service(persistence=None, pool=pool, limits=limits)))
    statuses: list[int] = []
    with slow_clients() as attack:
        eventually(lambda: connected() >= open_at_once * 3 // 4)
        while any(process.poll() is None for process in attack):
            statuses.append(honest(len(statuses) % 200 + 1))
    assert len(statuses) >= 5
    assert set(statuses) == {200}
