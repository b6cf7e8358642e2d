"""How lines of the access log are read, and what never leaves them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willis.engines.haproxy.log import masked, read
from willis.model.access import AccessKind


def http(**changes: object) -> bytes:
    fields: dict[str, object] = {
        "kind": "h",
        "at": 1_795_520_061_327,
        "service": "Web",
        "pool": "Web",
        "server": "vna1",
        "client": "198.51.100.7",
        "status": 200,
        "request": 1,
        "queued": 0,
        "connect": 2,
        "response": 30,
        "total": 40,
        "in": 200,
        "out": 5000,
        "state": "--",
        "method": "GET",
        "path": "/studies",
        "version": "HTTP/1.1",
        "tls": "-",
    }
    return json.dumps(list((fields | changes).values())).encode()


def test_a_request_is_read() -> None:
    line = read(http())
    assert line is not None
    assert (line.kind, line.service, line.host, line.status) == (AccessKind.HTTP, "Web", "vna1", 200)
    assert (line.at, line.duration_ms, line.connect_ms, line.response_ms) == (1_795_520_061.327, 40, 2, 30)
    assert (line.ok, line.ended, line.tls) == (True, "complete", None)


@pytest.mark.parametrize(
    ("state", "status", "ok", "ended"),
    [
        ("SC", 503, False, "the server refused or closed while connecting to the server"),
        ("sH", 504, False, "the server was silent for too long before the server answered"),
        ("CD", 200, True, "the client closed during the transfer"),
        ("PR", 400, False, "Willis refused or stopped it before the request was complete"),
        ("LR", 301, True, "answered by Willis"),
        ("--", 500, False, "complete"),
    ],
)
def test_how_it_ended_is_said_in_words(state: str, status: int, ok: bool, ended: str) -> None:
    line = read(http(state=state, status=status))
    assert line is not None
    assert (line.ok, line.ended) == (ok, ended)


def test_what_was_never_reached_is_absent() -> None:
    line = read(http(server="<NOSRV>", queued=-1, connect=-1, response=-1, request=-1, path="<BADREQ>"))
    assert line is not None
    assert (line.host, line.queued_ms, line.connect_ms, line.path) == (None, None, None, None)


def test_an_association_is_read() -> None:
    fields = ["d", 1_795_520_061_327, "Dicom", "Dicom", "fallback:vna3", "198.51.100.7", 0, 1, 900, 5000, 300]
    line = read(json.dumps([*fields, "--", "-", "CT1", "PACS", "4", "1", "A700"]).encode())
    assert line is not None
    assert (line.kind, line.host, line.calling, line.called) == (AccessKind.DICOM, "vna3", "CT1", "PACS")
    assert (line.answers_ok, line.answers_bad, line.last_bad) == (4, 1, "A700")


@pytest.mark.parametrize(
    ("state", "cuts", "ok", "ended"),
    [
        ("K-", "0", True, "Willis left its server between two messages"),
        ("K-", "", True, "Willis left its server between two messages"),
        ("KD", "1", False, "Willis left its server while a message was under way"),
        ("CD", "1", True, "the client closed during the transfer"),
        ("SD", "0", False, "the server refused or closed during the transfer"),
    ],
)
def test_an_hl7_connection_that_ends_between_messages_has_not_failed(
    state: str, cuts: str, ok: bool, ended: str
) -> None:
    fields = ["m", 1_795_520_061_327, "Orders", "Orders", "ris1", "198.51.100.7", 0, 1, 900, 5000, 300]
    line = read(json.dumps([*fields, state, "-", cuts]).encode())
    assert line is not None
    assert (line.kind, line.ok, line.ended) == (AccessKind.TCP, ok, ended)


def test_a_failed_handshake_is_read() -> None:
    line = read(
        json.dumps(["e", 1, "Web", "198.51.100.7", "SSL handshake failure", "no shared cipher"]).encode()
    )
    assert line is not None
    assert (line.kind, line.ok, line.ended) == (AccessKind.REFUSED, False, "no shared cipher")


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/", "/"),
        (
            "/dicom-web/studies/1.2.840.113619.2/series/1.3/instances",
            "/dicom-web/studies/*/series/*/instances",
        ),
        ("/api/v1/patients/4711", "/api/v1/patients/*"),
        ("/fhir/Patient/a7", "/fhir/Patient/*"),
        ("/fhir/Patient/$everything", "/fhir/Patient/$everything"),
        ("/show/Jansen^Piet", "/show/*"),
        ("/show/jan%20jansen", "/show/*"),
        ("/show/jan@example.org", "/show/*"),
        ("/viewer;jsessionid=abc/x", "/viewer"),
        ("/viewer?patient=4711", "/viewer"),
        ("/.well-known/acme-challenge/tokenwithoutdigits", "/.well-known/acme-challenge/*"),
    ],
)
def test_a_path_names_nobody(path: str, shown: str) -> None:
    assert masked(path) == shown


@given(st.text())
def test_no_digits_but_a_versions_leave_a_path(path: str) -> None:
    for part in masked("/" + path).split("/"):
        assert not any(c.isdigit() for c in part) or part[0] == "v"


@given(st.binary())
def test_nothing_breaks_the_reader(line: bytes) -> None:
    read(line)
    read(b"[" + line)


@given(st.recursive(st.integers() | st.text() | st.none(), lambda inner: st.lists(inner, max_size=30)))
def test_no_other_array_breaks_it(value: object) -> None:
    for kind in "htmde":
        read(json.dumps([kind, value, *(value if isinstance(value, list) else [])]).encode())
