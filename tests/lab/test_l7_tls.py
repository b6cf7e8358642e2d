"""TLS under the engine with real peers: openssl, sslyze, dcmtk and Python's own ssl."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.builders import dr
from tests.lab.proxy import PORT, Proxy, WebServer, address, local_site, real, service
from tests.pki import Issued, Root, pem
from tests.ports import free_port
from willis.certificates.store import CertificateError, CertificateStore
from willis.engines.port import EngineError
from willis.model.config import Config
from willis.model.persistence import SourcePersistence, TlsSessionPersistence
from willis.model.proxy import ClientCertificates, ServerTls, Tls, TlsPolicy
from willis.model.service import Application, Forwarding, RealServer, Scheduler, VirtualService

pytestmark = pytest.mark.lab

ROOT = Root("Drill Root")
OTHER = Root("Other Root")
VIP = str(address(101))
SCP = free_port()
"""storescp listens on all addresses."""
RSA_KX = "AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA:AES256-SHA"
CBC = "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA256"


@pytest.fixture
def store(proxy: Proxy) -> CertificateStore:
    found = CertificateStore(proxy.home / "certificates")
    found.put("read", ROOT.issue("read.example").pem_with_key)
    found.put("mint", ROOT.issue("mint.example").pem_with_key)
    found.put_authority("drill", pem(ROOT.certificate))
    found.put_authority("other", pem(OTHER.certificate))
    return found


def web_tls(**changes: object) -> Config:
    return local_site(service(tls=Tls(("read", "mint"), **changes)))


def client(**changes: object) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=pem(ROOT.certificate).decode())
    for key, value in changes.items():
        setattr(context, key, value)
    return context


def handshake(host: str = "read.example", context: ssl.SSLContext | None = None) -> bytes:
    """The certificate that is served to a client that verifies it (DER)."""
    with (
        socket.create_connection((VIP, PORT), timeout=30) as raw,
        (context or client()).wrap_socket(raw, server_hostname=host) as tls,
    ):
        return tls.getpeercert(binary_form=True) or b""


def page(context: ssl.SSLContext | None = None) -> tuple[int, str]:
    """Status and body."""
    import http.client

    connection = http.client.HTTPSConnection(VIP, PORT, timeout=30, context=context or client())
    connection._create_connection = lambda *_: socket.create_connection((VIP, PORT), 30)  # type: ignore[attr-defined]
    connection.host = "read.example"
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def s_client(*words: str) -> bool:
    """Whether openssl completes a handshake."""
    argv = ["openssl", "s_client", "-connect", f"{VIP}:{PORT}", "-servername", "read.example", *words]
    done = subprocess.run(argv, input=b"", capture_output=True, timeout=30, check=False)
    return done.returncode == 0 and b"Cipher is (NONE)" not in done.stdout and b"New, TLS" in done.stdout


@pytest.mark.parametrize("policy", TlsPolicy)
def test_each_policy_takes_and_refuses(proxy: Proxy, store: CertificateStore, policy: TlsPolicy) -> None:
    proxy.apply(web_tls(policy=policy))
    modern = policy is TlsPolicy.MODERN
    assert s_client("-tls1_3")
    assert s_client("-tls1_2") is not modern
    assert s_client("-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384") is not modern
    assert not s_client("-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert not s_client("-tls1", "-cipher", "ALL:@SECLEVEL=0")
    assert not s_client("-tls1_2", "-cipher", f"{CBC}:@SECLEVEL=0")
    chacha = policy in (TlsPolicy.INTERMEDIATE, TlsPolicy.MODIFIED_BCP195)
    assert s_client("-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305") is chacha


def test_rsa_key_exchange_is_refused(proxy: Proxy, store: CertificateStore) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    store.put("read", ROOT.issue("read.example", key=rsa.generate_private_key(65537, 2048)).pem_with_key)
    proxy.apply(web_tls())
    assert s_client("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256")
    assert not s_client("-tls1_2", "-cipher", f"{RSA_KX}:@SECLEVEL=0")


def test_the_name_picks_the_certificate(proxy: Proxy, store: CertificateStore) -> None:
    proxy.apply(web_tls())
    served = {host: handshake(host) for host in ("read.example", "mint.example")}
    assert served["read.example"] != served["mint.example"]
    nobody = client(check_hostname=False)
    assert handshake("unknown.example", nobody) == served["read.example"], "the first is for the rest"


def test_twenty_renewals_under_load_break_no_handshake(
    proxy: Proxy, store: CertificateStore, servers: dict[str, WebServer]
) -> None:
    config = web_tls()
    proxy.apply(config)
    worker, stop, done, failed = proxy.worker(), threading.Event(), [0], []

    def load() -> None:
        while not stop.is_set():
            try:
                handshake()
                done[0] += 1
            except (OSError, ssl.SSLError) as error:
                failed.append(error)

    clients = [threading.Thread(target=load) for _ in range(2)]
    for each in clients:
        each.start()
    try:
        for _ in range(20):
            renewed = ROOT.issue("read.example")
            store.put("read", renewed.pem_with_key)
            assert proxy.apply(config) == 1
            assert ssl.PEM_cert_to_DER_cert(renewed.pem.decode()) == handshake()
    finally:
        stop.set()
        for each in clients:
            each.join()
    assert not failed
    assert done[0] > 20
    assert proxy.worker() == worker
    assert page()[0] == 200


def test_a_chain_beyond_the_buffer_is_brought_by_a_reload(proxy: Proxy, store: CertificateStore) -> None:
    config = web_tls()
    proxy.apply(config)
    worker = proxy.worker()
    many = tuple(f"host-{n:03}-{'x' * 50}.read.example" for n in range(200))
    renewed = ROOT.issue("read.example", *many)
    store.put("read", renewed.pem_with_key)
    proxy.apply(config)
    assert ssl.PEM_cert_to_DER_cert(renewed.pem.decode()) == handshake()
    assert proxy.worker() != worker


def test_a_bad_certificate_leaves_the_old_one_served(proxy: Proxy, store: CertificateStore) -> None:
    config = web_tls()
    proxy.apply(config)
    before = handshake()
    from datetime import timedelta

    old = ROOT.issue("read.example", start=timedelta(days=-90), days=30)
    strange = ROOT.issue("read.example").pem + ROOT.issue("read.example").key_pem
    for bad in (old.pem_with_key, strange):
        with pytest.raises(CertificateError):
            store.put("read", bad)
    assert proxy.apply(config) == 0
    assert handshake() == before


def test_a_service_without_its_certificate_is_refused(proxy: Proxy, store: CertificateStore) -> None:
    with pytest.raises(EngineError, match="willis certificate add absent"):
        proxy.apply(local_site(service(tls=Tls(("absent",)))))


def with_certificate(tmp_path: Path, issued: Issued) -> ssl.SSLContext:
    place = tmp_path / f"{issued.certificate.serial_number}.pem"
    place.write_bytes(issued.pem_with_key)
    context = client()
    context.load_cert_chain(place)
    return context


def test_clients_prove_who_they_are(
    proxy: Proxy, store: CertificateStore, servers: dict[str, WebServer], tmp_path: Path
) -> None:
    proxy.apply(web_tls(clients=ClientCertificates("drill", names=("ct1.example", "MR 2"))))
    assert page(with_certificate(tmp_path, ROOT.issue("ct1.example")))[0] == 200
    assert page(with_certificate(tmp_path, ROOT.issue("ct9.example")))[0] == 403
    for context in (client(), with_certificate(tmp_path, OTHER.issue("ct1.example"))):
        with pytest.raises((ssl.SSLError, OSError)):
            page(context)


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "8")
        self.end_headers()
        self.wfile.write(b"over TLS")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[RealServer]:
    place = tmp_path / "server.pem"
    place.write_bytes(ROOT.issue("vna.example").pem_with_key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place)
    server = ThreadingHTTPServer((str(address(5)), PORT), _Page)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield real(5)
    server.shutdown()
    server.server_close()


RE_ENCRYPTED = {
    "right": (ServerTls("drill", name="vna.example"), 200),
    "another authority": (ServerTls("other", name="vna.example"), 503),
    "the system's authorities": (ServerTls(None, name="vna.example"), 503),
    "another name": (ServerTls("drill", name="pacs.example"), 503),
    "not looked at": (ServerTls(None, verify=False), 200),
}


@pytest.mark.parametrize("case", RE_ENCRYPTED)
def test_servers_prove_who_they_are(
    proxy: Proxy, store: CertificateStore, tls_server: RealServer, case: str
) -> None:
    towards, status = RE_ENCRYPTED[case]
    config = local_site(service(tls=Tls(("read",)), server_tls=towards, pool=(tls_server,)))
    proxy.apply(config)
    assert page()[0] == status


def dicom(**changes: object) -> VirtualService:
    plain = dr(forwarding=Forwarding.PROXY, application=Application.DICOM, persistence=None, ports=(PORT,))
    return replace(plain, vip=address(101), pool=(real(1, port=SCP),), **changes)


def test_dicom_over_tls_before_a_plain_server(proxy: Proxy, store: CertificateStore, tmp_path: Path) -> None:
    if shutil.which("storescp") is None:
        pytest.skip("dcmtk is not installed")
    tls = Tls(("read",), TlsPolicy.BCP195, ClientCertificates("drill", names=("ct1.example",)))
    proxy.apply(local_site(dicom(tls=tls)))
    (tmp_path / "ca.pem").write_bytes(pem(ROOT.certificate))
    argv = ["storescp", "--output-directory", str(tmp_path), str(SCP)]
    scp = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert _echo(tmp_path, ROOT.issue("ct1.example"), retry=True)
        assert not _echo(tmp_path, ROOT.issue("ct9.example"))
        assert not _echo(tmp_path, OTHER.issue("ct1.example"))
    finally:
        scp.kill()
        scp.wait()


def _echo(tmp_path: Path, issued: Issued, *, retry: bool = False) -> bool:
    """Whether dcmtk's echoscu gets an answer through TLS with this certificate."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    key.write_bytes(issued.key_pem)
    certificate.write_bytes(issued.pem)
    argv = ["echoscu", "-to", "10", "-ta", "10", "+tls", str(key), str(certificate)]
    argv += ["+cf", str(tmp_path / "ca.pem"), VIP, str(PORT)]
    for _ in range(50 if retry else 1):
        if subprocess.run(argv, capture_output=True, timeout=30, check=False).returncode == 0:
            return True
    return False


class _Passed:
    """A server at vnaN that ends TLS itself and says its name. Without tickets it gives session ids."""

    def __init__(self, number: int, place: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.options |= ssl.OP_NO_TICKET
        self._context.load_cert_chain(place)
        self._name = f"vna{number}".encode()
        self._listener = socket.create_server((str(address(number)), PORT))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                wire = self._listener.accept()[0]
            except OSError:
                return
            with contextlib.suppress(OSError), self._context.wrap_socket(wire, server_side=True) as tls:
                tls.sendall(self._name)
                tls.recv(1)
                tls.unwrap()  # a session that was cut off is not resumed

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def passed(tmp_path: Path) -> Iterator[None]:
    place = tmp_path / "server.pem"
    place.write_bytes(ROOT.issue("vna.example").pem_with_key)
    made = [_Passed(number, place) for number in (1, 2, 3)]
    yield
    for one in made:
        one.close()


def resumed(version: ssl.TLSVersion, times: int) -> list[tuple[str, bool]]:
    """(server, whether it resumed the session) of a client that goes on with its last session."""
    context = client(minimum_version=version, maximum_version=version)
    session, seen = None, []
    for _ in range(times):
        raw = socket.create_connection((VIP, PORT), timeout=30)
        with context.wrap_socket(raw, server_hostname="vna.example", session=session) as tls:
            server = tls.recv(10).decode()
            seen.append((server, bool(tls.session_reused)))
            session = tls.session
            tls.sendall(b".")
            tls.unwrap()
    return seen


def passing(**changes: object) -> Config:
    return local_site(
        service(
            application=Application.GENERIC,
            scheduler=Scheduler.WRR,
            persistence=TlsSessionPersistence(**changes),
        )
    )


def test_a_client_that_resumes_its_session_keeps_its_server(proxy: Proxy, passed: None) -> None:
    proxy.apply(passing())
    (home, first), *others = resumed(ssl.TLSVersion.TLSv1_2, 6)
    assert (first, others) == (False, [(home, True)] * 5)
    away, _ = resumed(ssl.TLSVersion.TLSv1_2, 1)[0]
    assert away != home, "a new session may go anywhere"


def test_in_tls_1_3_only_what_stands_in_keeps_a_client(proxy: Proxy, passed: None) -> None:
    proxy.apply(passing())
    assert {server for server, _ in resumed(ssl.TLSVersion.TLSv1_3, 6)} == {"vna1", "vna2", "vna3"}
    proxy.apply(passing(otherwise=SourcePersistence()))
    (home, first), *others = resumed(ssl.TLSVersion.TLSv1_3, 6)
    assert (first, others) == (False, [(home, True)] * 5)


SSLYZE = os.environ.get("SSLYZE") or shutil.which("sslyze")


@pytest.mark.skipif(
    SSLYZE is None, reason="sslyze is neither on the PATH nor named by SSLYZE; it needs an older cryptography"
)
@pytest.mark.parametrize("policy", TlsPolicy)
def test_sslyze_finds_each_policy_compliant(
    proxy: Proxy, store: CertificateStore, tmp_path: Path, policy: TlsPolicy
) -> None:
    """By Mozilla's profiles. Those of DICOM offer a part of what 'intermediate' does."""
    profile = "modern" if policy is TlsPolicy.MODERN else "intermediate"
    (tmp_path / "root.pem").write_bytes(pem(ROOT.certificate))
    proxy.apply(web_tls(policy=policy))
    argv = [str(SSLYZE), f"--mozilla_config={profile}", "--certinfo_ca_file", str(tmp_path / "root.pem")]
    argv.append(f"read.example:{PORT}{{{VIP}}}")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert "OK - Compliant" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
