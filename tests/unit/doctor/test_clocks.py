"""A host's clock is read from its answers, and who has none is no fault."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import IPv4Address
from threading import Thread

from willis.doctor import clocks
from willis.model.check import Deep, HalfOpen, Http, HttpAsk, Target
from willis.model.proxy import ServerTls

HERE = IPv4Address("127.0.0.1")


@contextmanager
def told(date: str | None) -> Iterator[tuple[int, list[str]]]:
    """A server that says this date; its port, and the paths that it is asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802 - as the base class calls it
            asked.append(self.path)
            self.send_response_only(200)
            if date is not None:
                self.send_header("Date", date)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer((str(HERE), 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_clock_an_hour_ahead_is_seen_by_the_request_of_the_check() -> None:
    with told(formatdate(time.time() + 3600, usegmt=True)) as (port, asked):
        question = Http(ask=HttpAsk(path="/status"))
        found = clocks.skews([Target(HERE, port, question), Target(HERE, port, HalfOpen(), Deep(question))])
    assert abs(found[HERE] - 3600) < 10
    assert asked == ["/status"]


def test_who_tells_no_date_or_a_wrong_one_is_left_out() -> None:
    for date in (None, "yesterday"):
        with told(date) as (port, _):
            assert clocks.skews([Target(HERE, port, Http())]) == {}


def test_nobody_is_asked_who_is_not_checked_by_plain_http() -> None:
    with told(formatdate(usegmt=True)) as (port, asked):
        assert clocks.skews([Target(HERE, port), Target(HERE, port, Http(tls=ServerTls()))]) == {}
    assert asked == []
