"""Layer 7, the way to HTTPS: redirects, HSTS, cookies over TLS only, HTTP/2 with the document's rules."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
from dataclasses import replace

import pytest

from tests.lab.proxy import PORT, Proxy, WebServer, address, local_site, real, service
from tests.pki import Root
from willis.certificates.store import CertificateStore
from willis.engines.port import EngineError
from willis.model.persistence import CookiePersistence
from willis.model.proxy import Deny, Http, Tls, UsePool, When

pytestmark = pytest.mark.lab

VIP = str(address(101))
PLAIN = PORT + 1
CURL = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


RULES = (UsePool("Archive", When(path_begins=("/archive/",))), Deny(403, When(hosts=("evil.example",))))
SITE = local_site(
    service(
        tls=Tls(("viewer",)),
        http=Http(https_from=(PLAIN,), hsts_s=86_400, rules=RULES),
        persistence=CookiePersistence(),
        pool=(real(1), real(2)),
    ),
    service(102, "Archive", persistence=None, pool=(real(3),)),
)


@pytest.fixture
def viewer(proxy: Proxy, servers: dict[str, WebServer]) -> Proxy:
    """A viewer over TLS whose pages under /archive/ come from vna3."""
    CertificateStore(proxy.home / "certificates").put(
        "viewer", Root("Drill").issue("pacs.example").pem_with_key
    )
    proxy.apply(SITE)
    return proxy


def curl(path: str, *words: str, host: str = "pacs.example") -> tuple[dict[str, str], str]:
    """What curl tells of an answer, with its headers in small letters, and the body."""
    argv = [
        "curl",
        "--silent",
        "--insecure",
        "--max-time",
        "30",
        "--connect-to",
        f"{host}:{PORT}:{VIP}:{PORT}",
    ]
    told = "\n%{stderr}%{json}"
    done = subprocess.run(
        [*argv, "--dump-header", "/dev/stderr", "--write-out", told, *words, f"https://{host}:{PORT}{path}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    *headers, last = done.stderr.splitlines()
    found = json.loads(last)
    pairs = (line.partition(": ") for line in headers if ": " in line)
    return {"status": str(found["http_code"]), "version": str(found["http_version"])} | {
        name.lower(): value.strip() for name, _, value in pairs
    }, done.stdout


@pytest.mark.parametrize(("method", "status"), [("GET", 301), ("POST", 308)])
def test_browsers_are_sent_on_with_path_and_query(viewer: Proxy, method: str, status: int) -> None:
    wire = http.client.HTTPConnection(VIP, PLAIN, timeout=30)
    wire.request(method, "/studies?limit=1", headers={"Host": f"pacs.example:{PLAIN}"})
    answer = wire.getresponse()
    assert (answer.status, answer.headers["Location"]) == (
        status,
        f"https://pacs.example:{PORT}/studies?limit=1",
    )
    wire.close()


@CURL
@pytest.mark.parametrize(("words", "version"), [(["--http2"], "2"), (["--http1.1"], "1.1")])
def test_rules_headers_and_cookies_over_tls(viewer: Proxy, words: list[str], version: str) -> None:
    told, body = curl("/archive/1?x=2", *words, "--header", "X-Forwarded-Proto: http")
    assert (told["status"], told["version"]) == ("200", version)
    assert body.startswith("vna3\nGET /archive/1?x=2 ")
    assert "X-Forwarded-Proto: https" in body.replace("x-forwarded-proto", "X-Forwarded-Proto")
    assert told["strict-transport-security"] == "max-age=86400"
    told, body = curl("/", *words)
    assert told["set-cookie"].endswith("; Secure")
    assert body[:4] in ("vna1", "vna2")
    told, _ = curl("/", *words, host="evil.example")
    assert (told["status"], told["strict-transport-security"]) == ("403", "max-age=86400")


def test_a_secure_address_that_is_taken_is_refused_and_nothing_stops(viewer: Proxy) -> None:
    worker = viewer.worker()
    taken = service(103, "Taken", tls=Tls(("viewer",)), persistence=None)
    with socket.create_server((str(address(103)), PORT)), pytest.raises(EngineError, match="taken by"):
        viewer.apply(replace(SITE, services=(*SITE.services, taken)))
    assert viewer.worker() == worker
