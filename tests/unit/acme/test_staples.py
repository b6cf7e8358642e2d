"""Staples: whom is asked, how often, and what is kept when the answer is none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.unit.acme.authority import NOW, answer, make
from willis.acme.responder import ResponderError, ask
from willis.acme.staples import Staples
from willis.certificates.store import CertificateStore

CA = make("Test CA", authority=True)
URL = "http://ocsp.example.org/"
LEAF = make("pacs.example.org", CA, responder=URL, domains=("pacs.example.org",))


class Responder:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.says = answer(LEAF, CA, since=NOW, until=NOW + timedelta(hours=8))
        self.broken = False

    def __call__(self, url: str, question: bytes) -> bytes:
        self.asked.append(url)
        if self.broken:
            raise ResponderError(f"{url} does not answer")
        return self.says


@pytest.fixture
def store(tmp_path: Path) -> CertificateStore:
    found = CertificateStore(tmp_path / "certificates")
    found.put("pacs", LEAF.key_pem() + LEAF.pem() + CA.pem())
    quiet = make("ris.example.org", CA, domains=("ris.example.org",))
    found.put("quiet", quiet.key_pem() + quiet.pem() + CA.pem())
    return found


def test_it_asks_at_once_and_again_at_half_of_the_validity(store: CertificateStore) -> None:
    responder = Responder()
    staples = Staples(store, responder)
    assert staples.refresh(NOW) == {"pacs": responder.says}
    assert store.read("pacs").staple == responder.says
    assert staples.refresh(NOW + timedelta(hours=3, minutes=59)) == {}
    assert responder.asked == [URL]
    assert staples.refresh(NOW + timedelta(hours=4)) == {"pacs": responder.says}
    assert staples.alarms(NOW + timedelta(hours=4)) == ()


def test_a_restart_asks_nobody_while_the_stored_staple_is_fresh(store: CertificateStore) -> None:
    Staples(store, Responder()).refresh(NOW)
    responder = Responder()
    assert Staples(store, responder).refresh(NOW + timedelta(hours=1)) == {}
    assert responder.asked == []


def test_a_new_certificate_is_asked_for_at_once(store: CertificateStore) -> None:
    responder = Responder()
    staples = Staples(store, responder)
    staples.refresh(NOW)
    other = make("pacs.example.org", CA, responder=URL, domains=("pacs.example.org",))
    store.put("pacs", other.key_pem() + other.pem() + CA.pem())
    responder.says = answer(other, CA)
    assert staples.refresh(NOW) == {"pacs": responder.says}


def test_a_silent_responder_is_an_alarm_only_once_the_staple_ended(store: CertificateStore) -> None:
    responder = Responder()
    staples = Staples(store, responder)
    staples.refresh(NOW)
    responder.broken = True
    now = NOW + timedelta(hours=5)
    assert staples.refresh(now) == {}
    assert staples.alarms(now) == ()
    assert store.read("pacs").staple == responder.says
    (alarm,) = staples.alarms(NOW + timedelta(hours=8))
    assert alarm == (f"certificate pacs is served without an OCSP staple: {URL} does not answer")
    responder.broken = False
    responder.says = answer(LEAF, CA, since=now, until=now + timedelta(hours=8))
    assert staples.refresh(now + timedelta(hours=2)) == {"pacs": responder.says}


def test_a_bad_answer_is_not_kept(store: CertificateStore) -> None:
    responder = Responder()
    responder.says = answer(LEAF, CA, by=make("Stranger", authority=True))
    staples = Staples(store, responder)
    assert staples.refresh(NOW) == {}
    assert store.read("pacs").staple is None
    assert "not signed" in staples.alarms(NOW)[0]
    staples.refresh(NOW + timedelta(minutes=14))
    assert len(responder.asked) == 1


class Web(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response({"/moved": 302, "/gone": 404}.get(self.path, 200))
        self.send_header("Location", "http://192.0.2.1/")
        self.end_headers()
        self.wfile.write(b"x" * (70_000 if self.path == "/big" else 3))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Web)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_fetcher_takes_an_answer_and_follows_nobody(web: str) -> None:
    assert ask(f"{web}/", b"question") == b"xxx"
    for path, why in (("/moved", "HTTP 302"), ("/gone", "HTTP 404"), ("/big", "more than")):
        with pytest.raises(ResponderError, match=why):
            ask(web + path, b"question")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://[", "file:///etc/passwd", "http://a b/"])
def test_what_cannot_be_asked_is_said(url: str) -> None:
    with pytest.raises(ResponderError, match="does not answer"):
        ask(url, b"question")
