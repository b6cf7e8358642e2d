"""A role holds through both processes, however the path to what it may not is written."""

from __future__ import annotations

import pytest

from tests.web.node import Node

TRICKS = (
    b"/api/v1/status/..;/audit",
    b"/api/v1/status/../audit",
    b"/api/v1//audit",
    b"/api/v1/audit/",
    b"/api/v1/audit;x=1",
    b"/api/v1/./audit",
    b"/API/v1/audit",
    b"/api/v1/%61udit",
    b"/api/v1/audit%2f",
    b"/api/v1/audit%00",
    b"/api/v1/status%2f..%2faudit",
    b"/api/v1/status?/../audit",
    b"/api/v1/audit",
)
HEADERS = (
    b"",
    b"X-Original-URL: /api/v1/audit\r\nX-Rewrite-URL: /api/v1/audit\r\n",
    b"X-HTTP-Method-Override: GET\r\nX-Forwarded-User: root\r\nWillis-Client: 127.0.0.1\r\n",
)


@pytest.fixture(scope="module")
def viewer(node: Node) -> bytes:
    """The token of a program that may only read."""
    made: str = node.console("token", "add", "viewer", "--role", "viewer")["token"]
    return made.encode()


@pytest.mark.parametrize("target", TRICKS, ids=lambda target: target.decode())
def test_the_audit_trail_stays_shut(node: Node, viewer: bytes, target: bytes) -> None:
    for headers in HEADERS:
        answer = node.raw(
            b"GET "
            + target
            + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer "
            + viewer
            + b"\r\n"
            + headers
            + b"Connection: close\r\n\r\n"
        )
        status = int(answer.split(b" ")[1])
        assert status in ((200,) if b"?" in target else (400, 403, 404)), answer
        assert b'"entries"' not in answer
