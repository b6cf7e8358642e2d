"""The access log: the lines that make HAProxy write it, and how they are read. Pure.

HAProxy keeps the lines in a ring in memory, and the engine follows it over the runtime
socket; if nobody does, the oldest are overwritten and no client waits. (A ring with a
server of its own connects again and again without a pause while nobody listens: a whole
core on 2.6, for as long as the engine is away.) A line is a JSON
array; what clients chose is escaped by HAProxy. The query never enters it, and parts of
the path that may name somebody are blotted out here, before anyone sees them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from willis.engines.haproxy import dicom, hl7
from willis.engines.haproxy.idioms import Idiom
from willis.engines.haproxy.kind import is_http
from willis.engines.haproxy.state import FALLBACK
from willis.engines.haproxy.write import Writer
from willis.model.access import Access, AccessKind
from willis.model.service import VirtualService

_ABSENT = ("-", "", "<NOSRV>", "<NOBE>")
_SERVER_ERROR = 500
_LONGEST_PATH = 200
_ENDED_BY_US = "K"
"""``shutdown session``, which nobody but us says."""

_BY_WHOM = {
    "C": "the client closed",
    "S": "the server refused or closed",
    "P": "Willis refused or stopped it",
    "R": "the node ran out of a resource",
    "I": "a fault in the proxy",
    "D": "its server was halted or went down",
    "U": "its server gave way to one that came back",
    "K": "Willis left its server",
    "c": "the client was silent for too long",
    "s": "the server was silent for too long",
}
"""The first letter of a termination state (HAProxy's manual, 8.5)."""
_WHEN = {
    "R": "before the request was complete",
    "Q": "in the queue for a server",
    "C": "while connecting to the server",
    "H": "before the server answered",
    "D": "during the transfer",
    "L": "with the last bytes on their way",
    "T": "while it was held back",
}
"""The second letter."""


def follow(fresh: bool) -> str:
    """The command whose answer is a worker's log. It begins with ``Pid: N`` among other lines."""
    new_only = " -n" if fresh else ""
    return f"set timeout cli {_DAYS};show info;show events access -w{new_only}"


_DAYS = "24d"
"""HAProxy's longest; it ends a stream that is silent for so long, and the next one begins."""


def head(writer: Writer) -> None:
    """The ring, before the proxies that write into it."""
    writer.section("ring access")
    writer.idiom(Idiom.LOG_RING)


def front(writer: Writer, service: VirtualService) -> None:
    """The frontend's lines."""
    writer.idiom(Idiom.LOG)
    if is_http(service):
        writer.idiom(Idiom.LOG_HTTP)
    elif dicom.is_read(service):
        writer.idiom(Idiom.LOG_DICOM)
    else:
        writer.idiom(Idiom.LOG_HL7 if hl7.is_read(service) else Idiom.LOG_TCP)


def read(line: bytes) -> Access | None:
    """What a line says; None if it is not one of ours (HAProxy itself notes how many it dropped)."""
    if not line.startswith(b"["):
        return None
    try:
        kind, *fields = json.loads(line)
        return _READERS[kind](fields)
    except (ValueError, KeyError, IndexError, TypeError):
        return None


def masked(path: str) -> str:
    """A path that names nobody. A part with a digit is a star, unless it is an API's version such as ``v2``.

    So are parts with characters that names and addresses have and routes have not, and all
    that follows a semicolon (RFC 3986, 3.3). A challenge's token (RFC 8555, 8.3) is one too.
    """
    parts = path.partition("?")[0].partition(";")[0].split("/")
    if parts[1:3] == [".well-known", "acme-challenge"]:
        return "/.well-known/acme-challenge/*"
    return "/".join(part if _ROUTE.match(part) else "*" for part in parts)[:_LONGEST_PATH]


_ROUTE = re.compile(r"\A(?:v[0-9]{1,2}|[A-Za-z$._-]{0,40})\Z")


def _http(f: Sequence[Any]) -> Access:
    service, pool, host, client, status, request, queued, connect, response, total = f[1:11]
    bytes_in, bytes_out, state, method, path, version, tls = f[11:18]
    return Access(
        AccessKind.HTTP,
        service,
        at=f[0] / 1000,
        client=client,
        ended=_ended(state),
        ok=0 <= status < _SERVER_ERROR and state[0] in "-LC",
        pool=_known(pool),
        host=_host(host),
        duration_ms=max(total, 0),
        queued_ms=_time(queued),
        connect_ms=_time(connect),
        response_ms=_time(response),
        bytes_in=bytes_in,
        bytes_out=bytes_out,
        tls=_known(tls),
        method=method if _METHOD.match(method) else None,
        path=masked(path) if request >= 0 and path.startswith("/") else None,
        status=status if status >= 0 else None,
        version=_known(version),
    )


_METHOD = re.compile(r"\A[A-Z]{1,20}\Z")


def _tcp(f: Sequence[Any]) -> Access:
    service, pool, host, client, queued, connect, total, bytes_in, bytes_out, state, tls = f[1:12]
    return Access(
        AccessKind.TCP,
        service,
        at=f[0] / 1000,
        client=client,
        ended=_ended(state),
        ok=state[0] in "-C" or state == "cD",
        pool=_known(pool),
        host=_host(host),
        duration_ms=max(total, 0),
        queued_ms=_time(queued),
        connect_ms=_time(connect),
        bytes_in=bytes_in,
        bytes_out=bytes_out,
        tls=_known(tls),
    )


def _hl7(f: Sequence[Any]) -> Access:
    """A connection that we end between two messages (``hl7``) has done all that it was for."""
    access = _tcp(f)
    if f[10][0] != _ENDED_BY_US:
        return access
    cut = f[12] == "1"
    when = "while a message was under way" if cut else "between two messages"
    return replace(access, ok=not cut, ended=f"{_BY_WHOM[_ENDED_BY_US]} {when}")


def _dicom(f: Sequence[Any]) -> Access:
    calling, called, good, bad, last = f[12:17]
    return replace(
        _tcp(f),
        kind=AccessKind.DICOM,
        calling=_known(calling),
        called=_known(called),
        answers_ok=_count(good),
        answers_bad=_count(bad),
        last_bad=_known(last),
    )


def _refused(f: Sequence[Any]) -> Access:
    service, client, reason, tls_reason = f[1:5]
    why = _known(tls_reason) or _known(reason) or "the connection failed"
    return Access(AccessKind.REFUSED, service, at=f[0] / 1000, client=client, ended=why, ok=False)


_READERS = {"h": _http, "t": _tcp, "m": _hl7, "d": _dicom, "e": _refused}


def _ended(state: str) -> str:
    """A termination state in words."""
    if state[0] == "-":
        return "complete"
    if state[0] == "L":
        return "answered by Willis"
    when = _WHEN.get(state[1])
    who = _BY_WHOM.get(state[0], f"state {state[:2]}")
    return f"{who} {when}" if when else who


def _known(word: str) -> str | None:
    return None if word in _ABSENT else word


def _host(server: str) -> str | None:
    known = _known(server)
    return None if known is None else known.removeprefix(FALLBACK)


def _time(milliseconds: int) -> int | None:
    return milliseconds if milliseconds >= 0 else None


def _count(number: str) -> int:
    return int(number) if number.isdigit() else 0
