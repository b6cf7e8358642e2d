"""The access log: what real clients did comes out, what names a patient does not, and nobody waits for it."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.lab.drill import ROOT, WILLIS, Drill, wait_until
from tests.lab.proxy import PORT, Proxy, WebServer, address, eventually, local_site, service
from tests.lab.test_l7_dicom import Archive, associate, dicom
from tests.pki import Root
from willis.certificates.store import CertificateStore
from willis.engines.port import EngineError
from willis.model.access import Access, AccessKind
from willis.model.proxy import ProxyTimeouts, Tls

pytestmark = pytest.mark.lab

VIP, SECURE = str(address(101)), str(address(102))


class Reader:
    """Follows each process that serves, as an engine does, in threads."""

    def __init__(self, proxy: Proxy) -> None:
        self._engine = proxy.engine
        self.lines: list[bytes] = []
        self._known: set[int] = set()
        self._done = threading.Event()
        self._finder = threading.Thread(target=self._find, daemon=True)
        self._finder.start()

    def _find(self) -> None:
        while not self._done.wait(0.05):
            with suppress(EngineError):
                serving = self._engine.serving()
                if serving is not None and serving not in self._known:
                    self._known.add(serving)
                    stream = self._engine.stream(fresh=False)
                    threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, wire: socket.socket) -> None:
        wire.setblocking(True)
        with wire, wire.makefile("rb") as file:
            self.lines += (line for line in file if line.startswith(b"["))

    def accesses(self) -> list[Access]:
        return [found for line in list(self.lines) if (found := self._engine.read(line)) is not None]

    def close(self) -> None:
        self._done.set()
        self._finder.join()


@contextmanager
def reading(proxy: Proxy) -> Iterator[Reader]:
    reader = Reader(proxy)
    try:
        yield reader
    finally:
        reader.close()


def get(path: str, headers: dict[str, str] | None = None) -> int:
    wire = http.client.HTTPConnection(VIP, PORT, timeout=30)
    wire.request("GET", path, headers={"Host": "pacs.example"} | (headers or {}))
    status = wire.getresponse().status
    wire.close()
    return status


def test_a_request_comes_out_without_its_query_and_names(proxy: Proxy, servers: dict[str, WebServer]) -> None:
    with reading(proxy) as reader:
        proxy.apply(local_site(service()))
        assert get("/dicom-web/studies/1.2.840.4711/series?PatientName=JANSEN") == 200
        eventually(lambda: len(reader.accesses()) == 1)
        (seen,) = reader.accesses()
    assert (seen.kind, seen.service, seen.pool, seen.status) == (AccessKind.HTTP, "Web", "Web", 200)
    assert (seen.method, seen.path) == ("GET", "/dicom-web/studies/*/series")
    assert seen.host in servers
    assert seen.client.startswith("127.")
    assert seen.bytes_out > 100
    assert not any(b"JANSEN" in line for line in reader.lines)


@pytest.mark.parametrize("path", ['/a"],"x",["', "/\\x00", "/a\\", "/%22%5d", "/é"])
def test_no_client_writes_a_line_of_its_own(proxy: Proxy, servers: dict[str, WebServer], path: str) -> None:
    with reading(proxy) as reader:
        proxy.apply(local_site(service()))
        with socket.create_connection((VIP, PORT), timeout=30) as wire:
            wire.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            wire.recv(1000)
        assert get("/after") == 200
        # HAProxy's threads write each their own; which comes first says nothing.
        eventually(lambda: len(reader.accesses()) == 2)
        assert len(reader.lines) == 2
        assert "/after" in [access.path for access in reader.accesses()]
        assert all(isinstance(json.loads(line), list) for line in reader.lines)


def test_what_failed_says_where(proxy: Proxy) -> None:
    with reading(proxy) as reader:
        proxy.apply(local_site(service()))
        assert get("/") == 503
        eventually(lambda: len(reader.accesses()) == 1)
        (seen,) = reader.accesses()
    assert (seen.ok, seen.status) == (False, 503)
    assert "while connecting to the server" in seen.ended


def test_tls_is_noted_and_a_failed_handshake_too(proxy: Proxy, servers: dict[str, WebServer]) -> None:
    CertificateStore(proxy.home / "certificates").put(
        "pacs", Root("Drill").issue("pacs.example").pem_with_key
    )
    careless = ssl._create_unverified_context()  # noqa: S323 - the certificate is not what is tested
    old = ssl._create_unverified_context()  # noqa: S323
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.set_ciphers("AES128-SHA:@SECLEVEL=0")
    with reading(proxy) as reader:
        proxy.apply(local_site(service(102, tls=Tls(("pacs",)), persistence=None)))
        wire = http.client.HTTPSConnection(SECURE, PORT, timeout=30, context=careless)
        wire.request("GET", "/", headers={"Host": "pacs.example"})
        assert wire.getresponse().status == 200
        wire.close()
        with pytest.raises(OSError), socket.create_connection((SECURE, PORT), timeout=30) as plain:  # noqa: PT011
            old.wrap_socket(plain)
        eventually(lambda: len(reader.accesses()) == 2)
        # HAProxy's threads write each their own; which comes first says nothing.
        bad, good = sorted(reader.accesses(), key=lambda access: access.ok)
    assert good.tls == "TLSv1.3"
    assert (bad.kind, bad.ok) == (AccessKind.REFUSED, False)
    assert bad.ended


def test_an_association_comes_out_with_its_titles_and_statuses(proxy: Proxy) -> None:
    archive = Archive(1)
    try:
        with reading(proxy) as reader:
            proxy.apply(dicom(pool=(1,)))
            wire = associate()
            assert wire.send_c_echo().Status == 0
            wire.release()
            eventually(lambda: len(reader.accesses()) == 1)
            (seen,) = reader.accesses()
    finally:
        archive.close()
    assert (seen.kind, seen.host, seen.calling, seen.called) == (AccessKind.DICOM, "vna1", "CT1", "PACS")
    assert (seen.answers_ok, seen.answers_bad, seen.ok) == (1, 0, True)


def test_without_a_reader_nobody_waits_and_a_new_one_gets_the_newest(
    proxy: Proxy, servers: dict[str, WebServer]
) -> None:
    proxy.apply(local_site(service()))
    for number in range(50):
        assert get(f"/before/{number}") == 200
    with reading(proxy) as reader:
        eventually(lambda: len(reader.accesses()) == 50)
        proxy.apply(local_site(service(waits=ProxyTimeouts(connect_s=7))))
        assert get("/reloaded") == 200
        eventually(lambda: reader.accesses()[-1].path == "/reloaded")


def test_the_command_follows_a_service_and_top_counts_it(canon: Drill) -> None:
    url = "http://10.60.0.114:8237/studies/4711?name=JANSEN"
    follower = subprocess.Popen(
        [*WILLIS, "logs", "VitreaRead", "--follow", "--last", "0", "--json"],
        env={"PATH": "/usr/bin:/bin", "WILLIS_SOCKET": str(canon.base / canon.name / "lb1/run/engine.sock")},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    heard: list[dict[str, object]] = []
    listener = threading.Thread(target=_hear, args=(follower, heard), daemon=True)
    listener.start()

    def asked_and_heard() -> bool:
        canon.run("client1", "curl", "-sS", "-o", "/dev/null", url)
        return bool(heard)

    try:
        wait_until(asked_and_heard, "the follower hears of requests")
    finally:
        follower.kill()
        follower.wait()
    assert (heard[0]["method"], heard[0]["path"]) == ("GET", "/studies/*")
    lines = [json.loads(line) for line in canon.willis("logs", "VitreaRead", "--json").splitlines()]
    assert lines[-1]["path"] == "/studies/*"
    assert "JANSEN" not in json.dumps(lines)
    assert "/studies/*" in canon.willis("logs", "VitreaRead", "--last", "1")
    top = {row["name"]: row for row in json.loads(canon.willis("top", "--json"))["services"]}
    assert top["VitreaRead"]["minute"]["count"] >= len(heard)
    assert top["VitreaRead"]["minute"]["p99_ms"] is not None
    assert "VitreaRead" in canon.willis("top")


def test_a_service_that_is_not_there_is_refused(canon: Drill) -> None:
    assert "there is no service 'Nobody'" in canon.willis("logs", "Nobody", check=False)
    assert "there is no service 'Nobody'" in canon.willis("logs", "Nobody", "--follow", check=False)


def _hear(follower: subprocess.Popen[str], heard: list[dict[str, object]]) -> None:
    for line in follower.stdout or ():
        heard.append(json.loads(line))
