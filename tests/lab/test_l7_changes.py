"""Layer 7 under every kind of load at once: reloads and changes at run time fail nothing.

New connections, kept ones, HTTP/2, WebSocket, 50 MB uploads and C-STOREs run side by side
until all changes are made; each counts what it did and what went wrong.
"""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.builders import seen
from tests.lab.proxy import PORT, Proxy, address, eventually, head, local_site, service
from tests.pki import Root
from tests.ports import free_port
from willis.certificates.store import CertificateStore
from willis.lab import data
from willis.model.config import Config
from willis.model.proxy import ProxyTimeouts, Tls
from willis.model.service import Application, RealServer
from willis.model.status import Admin, Place, Status

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(shutil.which("storescu") is None, reason="dcmtk is not installed"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]

_KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
_ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The example of RFC 6455, 1.3; the proxy looks at both."""
_UPLOAD = 50 << 20
_RELOADS, _FLIPS = 50, 500
_DICOM_PORT = 11112
_SCP_PORT = free_port()
"""storescp listens on all addresses."""
VIP, SECURE = str(address(101)), str(address(102))


class _Server(BaseHTTPRequestHandler):
    """Answers pages, counts uploads, and echoes what follows an upgrade."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.headers.get("Upgrade") == "websocket":
            self._echo()
        else:
            self._answer(b"page")

    def do_POST(self) -> None:
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, 1 << 16)))
        self._answer(b"stored")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _echo(self) -> None:
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", _ACCEPT)
        self.end_headers()
        while said := self.rfile.read1(1024):
            self.wfile.write(said)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class _Servers(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@dataclass
class Load:
    """One client at work: how often it did what it does, and each failure."""

    name: str
    work: Callable[[], None]
    done: int = 0
    failures: list[str] = field(default_factory=list)

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self.work()
                self.done += 1
            except (OSError, http.client.HTTPException, AssertionError, subprocess.SubprocessError) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
            time.sleep(0.01)


@contextmanager
def running(loads: list[Load]) -> Iterator[None]:
    """All of them at work; none goes on afterwards."""
    stop = threading.Event()
    threads = [threading.Thread(target=load.run, args=(stop,)) for load in loads]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(120)


def new_connection() -> None:
    wire = http.client.HTTPConnection(VIP, PORT, timeout=30)
    _page(wire)
    wire.close()


def _page(wire: http.client.HTTPConnection) -> None:
    wire.request("GET", "/", headers={"Host": "pacs.example"})
    answer = wire.getresponse()
    answer.read()
    assert answer.status == 200, answer.status


def kept_connection() -> Callable[[], None]:
    wire = http.client.HTTPConnection(VIP, PORT, timeout=30)
    return lambda: _page(wire)


def http2() -> None:
    """One connection for many requests; curl opens another one when it is told to go away."""
    words = ["curl", "-sk", "--http2", "--max-time", "60", "-o", "/dev/null", "-w", "%{http_code}\n"]
    done = subprocess.run(
        [*words, f"https://{SECURE}:{PORT}/[1-40]", "--header", "Host: pacs.example"],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    assert done.stdout.split() == ["200"] * 40, done.stdout


class WebSocket:
    """Talks over one upgraded connection, for as long as the test lasts."""

    def __init__(self) -> None:
        self._wire = socket.create_connection((VIP, PORT), timeout=30)
        asked = b"GET /ws HTTP/1.1\r\nHost: pacs.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        self._wire.sendall(asked + _KEY + b"Sec-WebSocket-Version: 13\r\n\r\n")
        said = head(self._wire)
        assert said.startswith(b"HTTP/1.1 101"), said

    def talk(self) -> None:
        self._wire.sendall(b"frame")
        assert self._wire.recv(1024) == b"frame"

    def close(self) -> None:
        self._wire.close()


def upload() -> None:
    wire = http.client.HTTPConnection(VIP, PORT, timeout=60)
    headers = {"Host": "pacs.example", "Content-Length": str(_UPLOAD)}
    wire.request("POST", "/studies", body=_pieces(), headers=headers)
    answer = wire.getresponse()
    assert (answer.status, answer.read()) == (200, b"stored")
    wire.close()


def _pieces() -> Iterator[bytes]:
    """As over a slow line: so there is one on its way at each change, and the machine has time for others."""
    for _ in range(_UPLOAD >> 20):
        yield bytes(1 << 20)
        time.sleep(0.02)


def store(files: list[Path]) -> None:
    words = ["storescu", "-aec", "PACS", "-aet", "CT1", VIP, str(_DICOM_PORT), *map(str, files)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-300:]


@pytest.fixture
def site(proxy: Proxy, tmp_path: Path) -> Iterator[Config]:
    """Two web servers and two archives behind three services."""
    CertificateStore(proxy.home / "certificates").put(
        "pacs", Root("Drill").issue("pacs.example").pem_with_key
    )
    webs = [_Servers((str(address(n)), PORT), _Server) for n in (1, 2)]
    for web in webs:
        threading.Thread(target=web.serve_forever, args=(0.02,), daemon=True).start()
    archive = ["storescp", "--ignore", "--fork", str(_SCP_PORT)]
    archives = [subprocess.Popen(archive, env={**os.environ, "TCP_NODELAY": "1"}, cwd=tmp_path)]
    pool = tuple(RealServer(f"vna{n}", address(n), PORT) for n in (1, 2))
    scp = tuple(RealServer(f"vna{n}", address(n), _SCP_PORT) for n in (1, 2))
    plain = service(pool=pool, persistence=None)
    dicom = replace(plain, name="Dicom", application=Application.DICOM, ports=(_DICOM_PORT,), pool=scp)
    try:
        eventually(_archive_listens)
        yield local_site(plain, replace(plain, name="Secure", vip=address(102), tls=Tls(("pacs",))), dicom)
    finally:
        for web in webs:
            web.shutdown()
            web.server_close()
        for each in archives:
            each.kill()
            each.wait()


def _archive_listens() -> bool:
    with socket.socket() as wire:
        return wire.connect_ex((str(address(1)), _SCP_PORT)) == 0


def test_fifty_reloads_and_five_hundred_changes_fail_nothing(proxy: Proxy, site: Config) -> None:
    study = data.mr()
    proxy.apply(site)
    socket_talk = WebSocket()
    loads = [
        Load("new connections", new_connection),
        Load("kept connection", kept_connection()),
        Load("http/2", http2),
        Load("websocket", socket_talk.talk),
        Load("uploads", upload),
        Load("c-store", lambda: store(study)),
    ]
    with running(loads):
        for number in range(_RELOADS):
            proxy.apply(_another(site, number))
            for flip in range(_FLIPS // _RELOADS):
                proxy.apply(_another(site, number), _flipped(site, number + flip))
    socket_talk.close()
    assert {load.name: load.failures for load in loads} == {load.name: [] for load in loads}
    assert all(load.done > 1 for load in loads), {load.name: load.done for load in loads}


def _another(site: Config, number: int) -> Config:
    """Another time-out is another text, so it reloads."""
    waits = ProxyTimeouts(connect_s=5 + number % 2)
    return replace(site, services=tuple(replace(s, waits=waits) for s in site.services))


def _flipped(site: Config, number: int) -> Status:
    """One of the two hosts drains, in turn."""
    host = f"vna{number % 2 + 1}"
    return replace(seen(site), admin={Place(host): Admin.DRAIN} if number % 3 else {})
