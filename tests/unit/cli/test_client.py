"""Another node over a connection that breaks: what is posted is sent again once, with the same key."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from willis.cli import client as module
from willis.cli.client import Broken, Client, Refusal
from willis.cli.remote import Remote

DONE = (200, {"revision": 7})
RUNNING = (409, {"type": "/api/v1/problems/still-running", "detail": "it is being carried out"})
REFUSED = (409, {"type": "/api/v1/problems/refused", "detail": "the guard refuses"})
BREAKS = None


@contextmanager
def node(*answers: tuple[int, object] | None) -> Iterator[tuple[Client, list[tuple[str | None, bytes]]]]:
    """A client of a node that answers so, one after another; what it got: each key and body."""
    left, got = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(
                (self.headers["Idempotency-Key"], self.rfile.read(int(self.headers["Content-Length"])))
            )
            answer = left.pop(0)
            if answer is None:
                return
            self.send_response(answer[0])
            self.end_headers()
            self.wfile.write(json.dumps(answer[1]).encode())

        def log_message(self, *_: object) -> None:
            """Nowhere."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        place = Remote(f"http://127.0.0.1:{server.server_port}", "willis_x", ssl.create_default_context())
        yield Client(place, timeout=20.0), got
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AGAIN_S", 0.0)


def test_it_is_sent_again_once_until_the_answer_is_there() -> None:
    with node(BREAKS, RUNNING, RUNNING, DONE, DONE) as (client, got):
        assert client.post("/apply", {"document": "x"}) == DONE[1]
        assert len(got) == 4
        assert len(set(got)) == 1
        assert client.post("/apply", {"document": "x"}) == DONE[1]
        assert got[4][0] not in (None, got[0][0])


def test_it_is_not_sent_a_third_time_and_says_what_nobody_knows() -> None:
    with node(BREAKS, BREAKS, DONE) as (client, got):
        with pytest.raises(Broken, match="audit list"):
            client.post("/apply", {})
        assert len(got) == 2


def test_a_refusal_is_an_answer() -> None:
    for answers in ((REFUSED,), (RUNNING,), (BREAKS, REFUSED)):
        with node(*answers) as (client, got):
            with pytest.raises(Refusal) as refusal:
                client.post("/apply", {})
            assert refusal.value.kind in ("refused", "still-running")
            assert len(got) == len(answers)
