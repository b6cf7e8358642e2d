"""Certificates that look after themselves, against Pebble: ordered, served, renewed, stapled, refused.

Everything is on loopback addresses of this run: the engine with its own HAProxy, Pebble,
its DNS, and an OCSP responder that signs with Pebble's issuer.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests import forked
from tests.unit.acme.authority import Pair, answer, make
from willis.certificates.store import CertificateStore
from willis.engines.haproxy.process import MasterProcess
from willis.engines.haproxy.runtime import Master

pytestmark = pytest.mark.lab

_NET = f"127.{os.getpid() % 230 + 20}.{os.getpid() // 230 % 250}"
SERVER, RESPONDER, PEBBLE, DNS, VIP = (f"{_NET}.{n}" for n in (11, 7, 8, 9, 101))
SECRET = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
DOCUMENT = f"""\
version: 1
site: acme
interfaces:
  lo: {{addresses: [{_NET}.2/24]}}
hosts:
  a: {SERVER}
acme:
  directory: https://{PEBBLE}:14000/dir
  contact: pacs-admin@example.org
  authority: pebble
  certificates:
    - name: pacs
      domains: [pacs.example.org]
    - name: blocked
      domains: [blocked.example.org]
services:
  Viewer:
    vip: {VIP}
    ports: 443
    application: http
    forwarding: proxy
    tls: {{certificates: [pacs, blocked]}}
    pool: [{{host: a, port: 8080}}]
"""


def eventually(what: Callable[[], Any], seconds: float = 60) -> Any:
    """Its first answer that is true."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"{what} did not come true"
        time.sleep(0.1)
    return found


class Site:
    """A running engine, and what an administrator types."""

    def __init__(self, home: Path) -> None:
        self.home, self.state = home, home / "state"

    def start(self) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "willis", "engine", "--layer4", "haproxy"]
        argv += ["--run-dir", str(self.home), "--state-dir", str(self.state)]
        log = (self.home / "engine.log").open("ab")
        engine = subprocess.Popen(argv, stdout=log, stderr=log)
        eventually(lambda: self.willis("status").returncode == 0)
        return engine

    def willis(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"WILLIS_SOCKET": str(self.home / "engine.sock")}
        return forked.Command(arguments, environment, stdin).end(200)

    def acme(self) -> dict[str, Any]:
        return json.loads(self.willis("acme", "status", "--json").stdout)

    def row(self, name: str) -> dict[str, Any]:
        return next(row for row in self.acme()["certificates"] if row["name"] == name)

    def worker(self) -> int | None:
        return Master(self.home / "haproxy-master.sock").workers().current

    def served(self) -> str:
        """What a TLS client sees: the issuer, the serial number, and the state of the staple."""
        client = [
            "openssl",
            "s_client",
            "-connect",
            f"{VIP}:443",
            "-servername",
            "pacs.example.org",
            "-status",
        ]
        shown = subprocess.run(client, input=b"", capture_output=True, timeout=30, check=False).stdout
        _, found, after = shown.partition(b"Server certificate\n")  # before it stands the responder's own
        if not found:
            return ""
        leaf = x509.load_pem_x509_certificate(after)
        staple = "good" if b"Cert Status: good" in shown else "none"
        return f"{leaf.issuer.rfc4514_string()} {leaf.serial_number:x} {staple}"


def _pebble(home: Path) -> list[subprocess.Popen[bytes]]:
    authority = make("Directory CA", authority=True)
    own = make("pebble", authority, domains=(PEBBLE,))
    for name, content in (("ca", authority.pem()), ("cert", own.pem()), ("key", own.key_pem())):
        (home / f"{name}.pem").write_bytes(content)
    config = {
        "listenAddress": f"{PEBBLE}:14000",
        "managementListenAddress": f"{PEBBLE}:15000",
        "certificate": str(home / "cert.pem"),
        "privateKey": str(home / "key.pem"),
        "httpPort": 80,
        "tlsPort": 443,
        "ocspResponderURL": f"http://{RESPONDER}:8888",
        "externalAccountBindingRequired": True,
        "externalAccountMACKeys": {"kid-1": SECRET},
        "domainBlocklist": ["blocked.example.org"],
    }
    (home / "pebble.json").write_text(json.dumps({"pebble": config}))
    log = (home / "pebble.log").open("ab")
    quiet = {"stdout": log, "stderr": log}
    dns = ["pebble-challtestsrv", "-dns01", f"{DNS}:8053", "-management", f"{DNS}:8055", "-defaultIPv4", VIP]
    dns += ["-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", ""]
    server = ["pebble", "-config", str(home / "pebble.json"), "-dnsserver", f"{DNS}:8053"]
    environment = os.environ | {
        "PEBBLE_VA_NOSLEEP": "1",
        "PEBBLE_WFE_NONCEREJECT": "0",
        "PEBBLE_AUTHZREUSE": "0",
    }
    return [subprocess.Popen(argv, env=environment, **quiet) for argv in (dns, server)]


def _issuer(home: Path) -> Pair:
    """Pebble's intermediate with its key."""
    trust = ssl.create_default_context(cafile=str(home / "ca.pem"))
    with httpx.Client(base_url=f"https://{PEBBLE}:15000", verify=trust, timeout=60) as http:

        def up() -> bool:
            try:
                return http.get("/roots/0").is_success
            except httpx.HTTPError:
                return False

        eventually(up)
        certificate = http.get("/intermediates/0").content
        key = http.get("/intermediate-keys/0").content
    return Pair(x509.load_pem_x509_certificate(certificate), load_pem_private_key(key, None))  # type: ignore[arg-type]


def _responder(issuer: Pair, store: CertificateStore) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            leaf = x509.load_pem_x509_certificate(store.read("pacs").chain.encode())
            body = answer(Pair(leaf, issuer.key), issuer)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((RESPONDER, 8888), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    for tool in ("pebble", "pebble-challtestsrv", "haproxy", "openssl"):
        if shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            pytest.skip(f"{tool} is not installed")
    if os.geteuid() != 0:
        pytest.skip("port 80 needs root")
    home = Path(tempfile.mkdtemp(prefix="willis-acme-"))
    found, responder = Site(home), None
    processes = _pebble(home)
    try:
        issuer = _issuer(home)
        store = CertificateStore(found.state / "certificates")
        store.put_authority("pebble", (home / "ca.pem").read_bytes())
        responder = _responder(issuer, store)
        processes.append(found.start())
        applied = found.willis("apply", "-", stdin=DOCUMENT)
        assert applied.returncode == 0, applied.stderr + (home / "engine.log").read_text()
        yield found
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=60)
        if responder is not None:
            responder.shutdown()
            responder.server_close()
        _stop_haproxy(home)
        shutil.rmtree(home)


def _stop_haproxy(home: Path) -> None:
    files = ("haproxy-loaded.cfg", "haproxy.pid", "haproxy-master.sock")
    process = MasterProcess(*(home / name for name in files), home / "state" / "haproxy.log")
    process.stop()
    assert process.pid() is None


def test_without_the_binding_the_reason_says_what_to_do(site: Site) -> None:
    reason = eventually(lambda: site.row("pacs")["reason"])
    assert "willis acme account --eab-kid KID --eab-key-file FILE" in reason
    assert site.row("pacs")["not_after"] is None
    told = "certificate pacs could not be ordered: the authority binds accounts"
    eventually(lambda: told in site.willis("status").stderr.replace("\n", " "))


def test_with_the_binding_it_is_ordered_and_nothing_reloads(site: Site) -> None:
    key = site.home / "eab.key"
    key.write_text(f"{SECRET}\n")
    bound = site.willis("acme", "account", "--eab-kid", "kid-1", "--eab-key-file", str(key))
    assert bound.returncode == 0, bound.stderr
    assert SECRET not in bound.stdout + bound.stderr + json.dumps(site.acme())
    assert (site.state / "acme" / "eab.json").stat().st_mode & 0o077 == 0
    worker = site.worker()
    done = site.willis("acme", "renew", "pacs")
    assert done.returncode == 0, done.stderr
    assert "Pebble Intermediate" in site.row("pacs")["issuer"]
    assert site.row("pacs")["reason"] is None
    assert site.worker() == worker


def test_a_challenge_is_answered_and_nothing_else_is(site: Site) -> None:
    with httpx.Client(base_url=f"http://{VIP}", timeout=60) as http:
        told = http.get("/.well-known/acme-challenge/abc-DEF_123")
        assert told.status_code == 200
        assert told.headers["content-type"] == "text/plain"
        token, dot, thumbprint = told.text.partition(".")
        assert (token, dot, len(thumbprint)) == ("abc-DEF_123", ".", 43)
        for path in ("/", "/.well-known/acme-challenge/", "/.well-known/acme-challenge/a%22b", "/x/abc"):
            assert http.get(path).status_code == 404


def test_a_renewal_replaces_it_and_a_refused_order_touches_nothing(site: Site) -> None:
    store, worker = CertificateStore(site.state / "certificates"), site.worker()
    before = store.read("pacs").facts.serial
    assert site.willis("acme", "renew", "pacs").returncode == 0
    assert store.read("pacs").facts.serial != before
    stopgap = store.read("blocked").facts.serial
    refused = site.willis("acme", "renew", "blocked")
    assert refused.returncode == 1
    assert "blocked" in refused.stderr
    assert "the authority refused" in refused.stderr
    assert store.read("blocked").facts.serial == stopgap
    row = site.row("blocked")
    assert row["failures"] >= 1
    assert row["next_try"] is not None
    assert site.worker() == worker


def test_the_new_certificate_is_served_with_its_staple(site: Site) -> None:
    worker = site.worker()
    assert site.willis("acme", "renew", "pacs").returncode == 0
    serial = CertificateStore(site.state / "certificates").read("pacs").facts.serial
    seen = eventually(lambda: (now := site.served()).endswith(f"{serial} good") and now)
    assert "Pebble Intermediate" in seen
    assert site.worker() == worker
    assert (site.state / "certificates" / "pacs.pem.ocsp").exists()


def test_what_it_learnt_survives_the_engine(site: Site) -> None:
    assert site.row("blocked")["failures"] >= 1
    assert json.loads((site.state / "acme" / "tries.json").read_text())["blocked"]["count"] >= 1
