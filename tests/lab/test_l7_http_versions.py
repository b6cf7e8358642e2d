"""Layer 7, what HTTP becomes: WebSockets that outlive a drain, and HTTP/2 to real servers (nghttpd)."""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.builders import seen
from tests.lab.proxy import PORT, Proxy, address, eventually, head, local_site, real, service
from tests.pki import Root, pem
from willis.certificates.store import CertificateStore
from willis.model.persistence import CookiePersistence
from willis.model.proxy import Http, ServerTls
from willis.model.status import Admin, Place

pytestmark = pytest.mark.lab

VIP = str(address(101))
_UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: pacs.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
_ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The example of RFC 6455, 1.3; the proxy looks at both."""


class _Echo(BaseHTTPRequestHandler):
    """Upgrades, and says its own address before each word it heard."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(101)
        for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade")):
            self.send_header(name, value)
        self.send_header("Sec-WebSocket-Accept", _ACCEPT)
        self.end_headers()
        own = self.connection.getsockname()[0].encode()
        while said := self.rfile.read1(1024):
            self.wfile.write(own + b" " + said)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def echoes() -> Iterator[None]:
    made = [ThreadingHTTPServer((str(address(n)), PORT), _Echo) for n in (1, 2, 3)]
    for each in made:
        each.daemon_threads = True
        threading.Thread(target=each.serve_forever, args=(0.02,), daemon=True).start()
    yield
    for each in made:
        each.shutdown()
        each.server_close()


class WebSocket:
    """One upgraded connection, of a browser with or without a cookie."""

    def __init__(self, cookie: str = "") -> None:
        self._wire = socket.create_connection((VIP, PORT), timeout=30)
        given = f"Cookie: {cookie}\r\n".encode() if cookie else b""
        self._wire.sendall(_UPGRADE + given + b"\r\n")
        said = head(self._wire)
        assert said.startswith(b"HTTP/1.1 101"), said
        cookies = [line for line in said.decode().splitlines() if line.lower().startswith("set-cookie: ")]
        self.cookie = cookies[0].partition(": ")[2].partition(";")[0] if cookies else cookie

    def talk(self) -> str:
        """The address of the server that answers."""
        self._wire.sendall(b"word")
        server, _, said = self._wire.recv(1024).partition(b" ")
        assert said == b"word"
        return server.decode()

    def ended(self) -> bool:
        try:
            return self._wire.recv(1) == b""
        except ConnectionResetError:
            return True


def test_a_websocket_goes_on_through_a_drain_and_a_reload_and_ends_with_a_halt(
    proxy: Proxy, echoes: None
) -> None:
    config = local_site(service(persistence=None))
    proxy.apply(config)
    kept = WebSocket()
    home = kept.talk()
    (name,) = [host.name for host in config.hosts if str(host.address) == home]
    drained = replace(seen(config), admin={Place(name): Admin.DRAIN})
    proxy.apply(config, drained)
    assert home not in {WebSocket().talk() for _ in range(6)}
    assert kept.talk() == home
    other = local_site(service(persistence=None, http=Http(prefix="/viewer")))
    proxy.apply(other, drained)
    assert kept.talk() == home, "an old worker carries it"
    proxy.apply(other, replace(seen(other), admin={Place(name): Admin.HALT}))
    assert kept.ended()


def test_a_browsers_websocket_follows_its_cookie(proxy: Proxy, echoes: None) -> None:
    proxy.apply(local_site(service(persistence=CookiePersistence())))
    first = WebSocket()
    assert first.cookie
    assert {WebSocket(first.cookie).talk() for _ in range(4)} == {first.talk()}


NGHTTPD = pytest.mark.skipif(shutil.which("nghttpd") is None, reason="nghttpd is not installed")


@NGHTTPD
@pytest.mark.parametrize("secure", [True, False], ids=["over TLS", "in clear text"])
def test_servers_are_asked_over_http_2(proxy: Proxy, tmp_path: Path, secure: bool) -> None:
    """nghttpd knows no other version, so an answer proves it; so does its record of frames."""
    root = Root("Drill")
    CertificateStore(proxy.home / "certificates").put_authority("drill", pem(root.certificate))
    (tmp_path / "page").write_text("by HTTP/2")
    issued = root.issue("vna.example")
    (tmp_path / "key.pem").write_bytes(issued.key_pem)
    (tmp_path / "certificate.pem").write_bytes(issued.pem)
    before, after = ([], ["key.pem", "certificate.pem"]) if secure else (["--no-tls"], [])
    argv = ["nghttpd", "-v", "-a", str(address(5)), *before, str(PORT), *after]
    with (tmp_path / "frames").open("w") as frames:
        server = subprocess.Popen(argv, stdout=frames, stderr=frames, cwd=tmp_path)
    try:
        eventually(lambda: _accepts(str(address(5))))
        towards = ServerTls("drill", name="vna.example") if secure else None
        proxy.apply(
            local_site(service(http=Http(http2_to_servers=True), server_tls=towards, pool=(real(5),)))
        )
        wire = http.client.HTTPConnection(VIP, PORT, timeout=30)
        for _ in range(20):
            wire.request("GET", "/page")
            answer = wire.getresponse()
            assert (answer.status, answer.read()) == (200, b"by HTTP/2")
        wire.close()
        eventually(lambda: (tmp_path / "frames").read_text().count("recv HEADERS frame") == 20)
        assert "[id=3]" not in (tmp_path / "frames").read_text(), (
            "over one connection, besides that which waited for the server"
        )
    finally:
        server.kill()
        server.wait()


def _accepts(host: str) -> bool:
    try:
        socket.create_connection((host, PORT), 5).close()
    except OSError:
        return False
    return True
