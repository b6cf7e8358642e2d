"""What reaches a real server of what clients write, byte for byte.

A client of raw bytes asks the real engine's HAProxy, and a server of raw bytes notes all
that arrives. A shape is refused, and then nothing may arrive, or it arrives exactly as
its table says. Statuses alone would not tell: what smuggles is often answered with 200.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.lab.proxy import PORT, Proxy, address, eventually, local_site, running, service
from tests.pki import Root
from willis.certificates.store import CertificateStore
from willis.engines.haproxy.process import since_3_0
from willis.model.proxy import Forwarded, Http, Tls
from willis.model.service import RealServer

pytestmark = pytest.mark.lab

BARE, TOLD, SECURE = 101, 102, 103
"""VIPs: without headers of ours, with them, and with TLS."""


class Server:
    """Notes each request as it came, and answers it."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self._listener = socket.create_server((str(address(5)), PORT + 5))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                wire, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(wire,), daemon=True).start()

    def _serve(self, wire: socket.socket) -> None:
        said = b""
        with wire:
            try:
                while more := wire.recv(65_536):
                    said += more
                    if complete(said):
                        self.requests.append(said)
                        said = b""
                        wire.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            except OSError:
                pass
        if said and b"\r\n\r\n" not in said:  # a head whose body was cut off is no request
            self.requests.append(said)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()


def complete(said: bytes) -> bool:
    """Whether a strict reader would answer now."""
    head, end, body = said.partition(b"\r\n\r\n")
    if b"\r\ntransfer-encoding: chunked" in head.lower():
        return re.search(rb"(\A|\n)0\r\n(.+\r\n)*\r\n\Z", body) is not None
    length = re.search(rb"\r\ncontent-length: (\d+)", head)
    return bool(end) and len(body) >= int(length[1] if length else 0)


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    """One engine for all shapes."""
    pool = (RealServer("vna5", address(5), PORT + 5),)
    with running() as found:
        CertificateStore(found.home / "certificates").put(
            "pacs", Root("Drill").issue("pacs.example").pem_with_key
        )
        bare = Http(forwarded=Forwarded.NONE)
        found.apply(
            local_site(
                service(BARE, "Bare", persistence=None, pool=pool, http=bare),
                service(TOLD, "Told", persistence=None, pool=pool),
                service(SECURE, "Secure", persistence=None, pool=pool, http=bare, tls=Tls(("pacs",))),
            )
        )
        yield found


@pytest.fixture(scope="module")
def listening(proxy: Proxy) -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


@pytest.fixture
def server(listening: Server) -> Server:
    listening.requests.clear()
    return listening


def say(sent: bytes, vip: int = BARE) -> bytes:
    """All that is answered until the end."""
    answer = b""
    with socket.create_connection((str(address(vip)), PORT), timeout=30) as wire:
        wire.sendall(sent)
        with suppress(
            OSError
        ):  # the answer may be there, and the connection ended, before we say that this is all
            wire.shutdown(socket.SHUT_WR)
        try:
            while more := wire.recv(65_536):
                answer += more
        except ConnectionError:
            pass
    return answer


REFUSED: list[bytes] = []
H = b"Host: a\r\n"
GET, POST = b"GET / HTTP/1.1\r\n" + H, b"POST / HTTP/1.1\r\n" + H
CHUNKED = b"Transfer-Encoding: chunked\r\n"
BODY = b"4\r\nbody\r\n0\r\n\r\n"
LENGTH = b"Content-Length: 4\r\n"
SOCKET = b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
PLAIN = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
POSTED = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody"
IN_CHUNKS = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n" + BODY


def asked(target: bytes, version: bytes = b"HTTP/1.1", method: bytes = b"GET") -> bytes:
    return method + b" " + target + b" " + version + b"\r\n" + H + b"\r\n"


def with_header(line: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\nhost: a\r\n" + line + b"\r\n\r\n"


SHAPES: dict[str, tuple[bytes, list[bytes]]] = {
    # Where does the body end?
    "CL.TE": (POST + b"Content-Length: 14\r\n" + CHUNKED + b"\r\n" + BODY, [IN_CHUNKS]),
    "TE.CL": (POST + CHUNKED + b"Content-Length: 3\r\n\r\n" + BODY, [IN_CHUNKS]),
    "CL.TE with a second request": (
        POST + b"Content-Length: 30\r\n" + CHUNKED + b"\r\n" + BODY + b"GET /2 HTTP/1.1\r\nHost: b\r\n\r\n",
        [IN_CHUNKS],
    ),
    "TE twice": (POST + CHUNKED + CHUNKED + b"\r\n" + BODY, REFUSED),
    "TE twice, identity": (POST + CHUNKED + b"Transfer-Encoding: identity\r\n\r\n" + BODY, REFUSED),
    "TE as a list": (POST + b"Transfer-Encoding: identity, chunked\r\n\r\n" + BODY, REFUSED),
    "TE with a comma": (POST + b"Transfer-Encoding: chunked,\r\n\r\n" + BODY, REFUSED),
    "TE in quotes": (POST + b'Transfer-Encoding: "chunked"\r\n\r\n' + BODY, REFUSED),
    "TE after a vertical tab": (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + BODY, REFUSED),
    "TE after a tab": (POST + b"Transfer-Encoding:\tchunked\r\n\r\n" + BODY, [IN_CHUNKS]),
    "TE before a space": (POST + b"Transfer-Encoding : chunked\r\n\r\n" + BODY, REFUSED),
    "TE folded into Host": (POST + b" Transfer-Encoding: chunked\r\n\r\n" + BODY, REFUSED),
    "TE after a bare LF": (
        POST + b"X: a\n" + CHUNKED + b"\r\n" + BODY,
        [IN_CHUNKS.replace(b"a\r\n", b"a\r\nx: a\r\n", 1)],
    ),
    "TE with an underscore": (POST + b"Transfer_Encoding: chunked\r\n" + LENGTH + b"\r\nbody", [POSTED]),
    "TE in HTTP/1.0": (b"POST / HTTP/1.0\r\n" + H + CHUNKED + b"\r\n" + BODY, REFUSED),
    "two lengths": (POST + LENGTH + b"Content-Length: 5\r\n\r\nbody!", REFUSED),
    "one length twice": (POST + LENGTH + LENGTH + b"\r\nbody", [POSTED]),
    "a list of lengths": (POST + b"Content-Length: 4, 5\r\n\r\nbody!", REFUSED),
    "no length in the length": (POST + b"Content-Length:\r\n\r\nbody", REFUSED),
    "a length with a sign": (POST + b"Content-Length: +4\r\n\r\nbody", REFUSED),
    "a length in hex": (POST + b"Content-Length: 0x4\r\n\r\nbody", REFUSED),
    "a length over 64 bits": (POST + b"Content-Length: 18446744073709551620\r\n\r\nbody", REFUSED),
    "chunk extension": (POST + CHUNKED + b"\r\n4;a=b\r\nbody\r\n0\r\n\r\n", [IN_CHUNKS]),
    "chunk extension with LF": (POST + CHUNKED + b"\r\n4;a\nbody\r\n0\r\n\r\n", [IN_CHUNKS]),
    "chunk extension with CR": (POST + CHUNKED + b"\r\n4;a\rb\r\nbody\r\n0\r\n\r\n", REFUSED),
    "negative chunk": (POST + CHUNKED + b"\r\n-4\r\nbody\r\n0\r\n\r\n", REFUSED),
    "chunk of 0x4": (POST + CHUNKED + b"\r\n0x4\r\nbody\r\n0\r\n\r\n", REFUSED),
    "chunk over 64 bits": (POST + CHUNKED + b"\r\n10000000000000004\r\nbody\r\n0\r\n\r\n", REFUSED),
    "chunk without a size": (POST + CHUNKED + b"\r\n\r\nbody\r\n0\r\n\r\n", REFUSED),
    "chunk longer than its size": (POST + CHUNKED + b"\r\n4\r\nbodyxx0\r\n\r\n", REFUSED),
    "trailers stay trailers": (
        POST + CHUNKED + b"\r\n4\r\nbody\r\n0\r\nX-Real-IP: 1.2.3.4\r\n\r\n",
        [IN_CHUNKS[:-2] + b"x-real-ip: 1.2.3.4\r\n\r\n"],
    ),
    "GET with a body": (GET + LENGTH + b"\r\nbody", [POSTED.replace(b"POST", b"GET")]),
    "Expect": (
        POST + b"Expect: 100-continue\r\n" + LENGTH + b"\r\nbody",
        [POSTED.replace(b"content", b"expect: 100-continue\r\ncontent")],
    ),
    "Expect of something else": (POST + b"Expect: y 100-continue\r\n" + LENGTH + b"\r\nbody", REFUSED),
    # What is a line, and what is a header?
    "folded line": (GET + b"X: one\r\n two\r\n\r\n", [with_header(b"x: one   two")]),
    "folded first line": (b"GET / HTTP/1.1\r\n X: y\r\n" + H + b"\r\n", REFUSED),
    "bare LF": (GET + b"X: a\nY: b\r\n\r\n", [with_header(b"x: a\r\ny: b")]),
    "bare CR": (GET + b"X: a\rY: b\r\n\r\n", REFUSED),
    "CR before CRLF": (GET + b"X: a\r\r\n\r\n", REFUSED),
    "space before the colon": (GET + b"X : a\r\n\r\n", REFUSED),
    "no name": (GET + b": a\r\n\r\n", REFUSED),
    "no colon": (GET + b"X\r\n\r\n", REFUSED),
    "NUL in a value": (GET + b"X: a\0b\r\n\r\n", REFUSED),
    "NUL in a name": (GET + b"X\0: a\r\n\r\n", REFUSED),
    "control byte": (GET + b"X: a\x01b\r\n\r\n", REFUSED),
    "delete byte": (GET + b"X: a\x7fb\r\n\r\n", REFUSED),
    "tab in a value": (GET + b"X: a\tb\r\n\r\n", [with_header(b"x: a\tb")]),
    "underscore and dot in names": (GET + b"X_Real_IP: 1.2.3.4\r\nX.Real.IP: 1.2.3.4\r\n\r\n", [PLAIN]),
    "too many headers": (GET + b"X: y\r\n" * 150 + b"\r\n", REFUSED),
    # What is asked, and of whom?
    "HTTP/0.9": (b"GET /\r\n", REFUSED),
    "HTTP/0.9 with headers": (asked(b"/", b"HTTP/0.9"), REFUSED),
    "HTTP/3.0": (asked(b"/", b"HTTP/3.0"), REFUSED),
    "another host in the target": (asked(b"http://b/x"), REFUSED),
    "the same host in the target": (asked(b"http://a/x"), [asked(b"http://a/x").replace(b"Host", b"host")]),
    "a target without Host": (b"GET http://a/x HTTP/1.1\r\n\r\n", REFUSED),
    "a target of host and port": (asked(b"a:80"), REFUSED),
    "two hosts": (GET + b"Host: b\r\n\r\n", REFUSED),
    "one host twice": (GET + H + b"\r\n", [PLAIN]),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", REFUSED),
    "empty host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", REFUSED),
    "NUL in the host": (b"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", REFUSED),
    "user in the host": (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", REFUSED),
    "list of hosts": (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", REFUSED),
    "TRACE": (asked(b"/", method=b"TRACE"), REFUSED),
    "TRACK": (asked(b"/", method=b"TRACK"), REFUSED),
    "CONNECT": (asked(b"a:80", method=b"CONNECT"), REFUSED),
    "NUL, encoded": (asked(b"/a%00"), REFUSED),
    "NUL": (asked(b"/a\0b"), REFUSED),
    "CRLF, encoded": (asked(b"/a%0D%0aX:y"), REFUSED),
    "CRLF in the query": (asked(b"/?a=%0d%0a"), [asked(b"/?a=%0d%0a").replace(b"Host", b"host")]),
    "fragment after the query": (asked(b"/?a#b"), REFUSED),
    "backslash": (asked(b"/a\\b"), REFUSED),
    "up by dots": (asked(b"/viewer/../admin"), REFUSED),
    "up by encoded dots": (asked(b"/viewer/%2E%2e%2Fadmin"), REFUSED),
    "up between encoded slashes": (asked(b"/viewer%2F..%2fadmin"), REFUSED),
    "up between encoded backslashes": (asked(b"/viewer%5C..%5cadmin"), REFUSED),
    "up with a parameter": (asked(b"/viewer/..;a/admin"), REFUSED),
    "up at the end": (asked(b"/viewer/.."), REFUSED),
    "here by a dot": (asked(b"/./admin"), REFUSED),
    "dots in a name": (asked(b"/a..b/...c/.d"), [asked(b"/a..b/...c/.d").replace(b"Host", b"host")]),
    "tabs and spaces": (b"GET\t/  HTTP/1.1\r\n" + H + b"\r\n", [PLAIN]),
    # What is only for the next hop?
    "Connection drops the length": (
        POST + b"Connection: close, content-length\r\n" + LENGTH + b"\r\nbody",
        [POSTED],
    ),
    "Connection drops the host": (GET + b"Connection: Host\r\n\r\n", [PLAIN]),
    "Connection drops a cookie": (
        GET + b"Connection: keep-alive\r\nConnection: Cookie\r\nCookie: a\r\n\r\n",
        [with_header(b"cookie: a")],
    ),
    "h2c": (
        GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        [PLAIN],
    ),
    "h2c behind WebSocket": (
        GET + b"Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n" + SOCKET + b"\r\n",
        REFUSED,
    ),
    "h2c in a list": (
        GET + b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n" + SOCKET + b"\r\n",
        [with_header(SOCKET[:-2])],
    ),
    "TLS inside": (GET + b"Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n", [PLAIN]),
    "WebSocket": (
        GET + b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" + SOCKET + b"\r\n",
        [with_header(b"upgrade: websocket\r\n" + SOCKET + b"connection: Upgrade")],
    ),
    "HTTP/2 without TLS": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", REFUSED),
    # What do applications believe?
    "another's words": (
        GET + b"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded: x\r\n"
        b"X-Cluster-Client-IP: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n"
        b"X-Real-IP: 1.2.3.4\r\nTrue-Client-IP: 1.2.3.4\r\nX-Client-IP: 1.2.3.4\r\n"
        b"X-Original-URL: /admin\r\nX-Rewrite-URL: /admin\r\nProxy: http://evil\r\n\r\n",
        [PLAIN],
    ),
}


SINCE_3_0 = dict.fromkeys(("h2c behind WebSocket", "h2c in a list"), SHAPES["WebSocket"][1])
SINCE_3_0["chunk extension with LF"] = REFUSED
"""HAProxy 3.0 takes ``h2c`` out of Upgrade itself, and a line of a chunk must end in CR LF."""


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_is_refused_or_arrives_as_it_should(server: Server, name: str) -> None:
    sent, arrives = SHAPES[name]
    if since_3_0():
        arrives = SINCE_3_0.get(name, arrives)
    answer = say(sent)
    if arrives:
        eventually(lambda: len(server.requests) >= len(arrives))
    assert server.requests == arrives
    assert answer.startswith(b"HTTP/1.1 200 " if arrives else (b"HTTP/1.1 4", b"HTTP/1.0 4"))


def test_servers_hear_of_the_client_from_us_alone(server: Server) -> None:
    sent = GET + b"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Prefix: /x\r\n\r\n"
    assert say(sent, TOLD).startswith(b"HTTP/1.1 200 ")
    port = b"x-forwarded-proto: http\r\nx-forwarded-port: %d\r\n" % PORT
    assert server.requests == [with_header(port + b"x-forwarded-host: a\r\nx-forwarded-for: 127.0.0.1")]


Fields = list[tuple[bytes, bytes]]
HEADERS, DATA, RESET, GOAWAY = 1, 0, 3, 7
ASKED: Fields = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/")]


def frame(kind: int, flags: int, payload: bytes, stream: int = 1) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def coded(fields: Fields) -> bytes:
    """Literal fields, never indexed (RFC 7541, 6.2.3); none is longer than 126 bytes."""
    return b"".join(b"\x10%c%b%c%b" % (len(name), name, len(value), value) for name, value in fields)


def say_h2(fields: Fields, *body: bytes, ends: bool = True) -> bool:
    """Whether it was answered with 200 and not refused in one of HTTP/2's ways.

    ``body``: what comes in frames of its own after the header. ``ends``: whether that is all.
    """
    context = ssl._create_unverified_context()  # noqa: S323 - the certificate is not what is tested
    context.set_alpn_protocols(["h2"])
    head = frame(HEADERS, 5 if ends and not body else 4, coded(fields))
    with (
        socket.create_connection((str(address(SECURE)), PORT), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="a") as wire,
    ):
        wire.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, b"", 0) + head)
        with suppress(ConnectionError, ssl.SSLError):  # it may be refused before all is sent
            for number, piece in enumerate(body, 1):
                wire.sendall(frame(DATA, int(number == len(body)), piece))
        answer = wire.makefile("rb")
        with suppress(ConnectionError, ssl.SSLError):
            while start := answer.read(9):
                payload = answer.read(int.from_bytes(start[:3], "big"))
                if start[3] == HEADERS:
                    return payload[:1] == b"\x88"  # :status 200 in the static table
                if start[3] in (RESET, GOAWAY):
                    break
    return False


def changed(name: bytes, value: bytes) -> Fields:
    """The usual request with another value of one pseudo-header."""
    return [(known, value if known == name else usual) for known, usual in ASKED]


SHAPES_H2: dict[str, tuple[Fields, bytes, list[bytes]]] = {
    "plain": (ASKED, b"", [PLAIN]),
    "host that differs": ([*ASKED, (b"host", b"b")], b"", [PLAIN]),
    "host alone": ([*ASKED[:2], ASKED[3], (b"host", b"a")], b"", [PLAIN]),
    "two hosts alone": ([*ASKED[:2], ASKED[3], (b"host", b"a"), (b"host", b"b")], b"", [PLAIN]),
    "no host": ([*ASKED[:2], ASKED[3]], b"", REFUSED),
    "two authorities": ([*ASKED, (b":authority", b"b")], b"", REFUSED),
    "user in the authority": (changed(b":authority", b"u@a"), b"", REFUSED),
    "CRLF in the path": (changed(b":path", b"/ HTTP/1.1\r\nx: y"), b"", REFUSED),
    "space in the path": (changed(b":path", b"/a b"), b"", REFUSED),
    "fragment": (changed(b":path", b"/a#b"), b"", REFUSED),
    "NUL in the path": (changed(b":path", b"/a\0"), b"", REFUSED),
    "relative path": (changed(b":path", b"admin"), b"", REFUSED),
    "dots in the path": (changed(b":path", b"/a/../admin"), b"", REFUSED),
    "empty path": (changed(b":path", b""), b"", REFUSED),
    "two paths": ([*ASKED, (b":path", b"/2")], b"", REFUSED),
    "CRLF in the method": (changed(b":method", b"GET / HTTP/1.1\r\nx: y"), b"", REFUSED),
    "space in the method": (changed(b":method", b"GET /x"), b"", REFUSED),
    "another target in the scheme": (changed(b":scheme", b"https://b/x?"), b"", REFUSED),
    "CRLF in the authority": (changed(b":authority", b"a\r\nx: y"), b"", REFUSED),
    "unknown pseudo-header": ([*ASKED, (b":x", b"y")], b"", REFUSED),
    "pseudo-header at the end": ([*ASKED[:3], (b"x", b"y"), ASKED[3]], b"", REFUSED),
    "CRLF in a value": ([*ASKED, (b"x", b"y\r\nz: a")], b"", REFUSED),
    "NUL in a value": ([*ASKED, (b"x", b"y\0")], b"", REFUSED),
    "colon in a name": ([*ASKED, (b"x:y", b"z")], b"", REFUSED),
    "CRLF in a name": ([*ASKED, (b"x: y\r\nz", b"a")], b"", REFUSED),
    "capital in a name": ([*ASKED, (b"X", b"y")], b"", REFUSED),
    "Transfer-Encoding": ([*ASKED, (b"transfer-encoding", b"chunked")], BODY, REFUSED),
    "Connection": ([*ASKED, (b"connection", b"content-length")], b"", REFUSED),
    "Upgrade": ([*ASKED, (b"upgrade", b"h2c")], b"", REFUSED),
    "TE of chunks": ([*ASKED, (b"te", b"chunked")], b"", REFUSED),
    "a length that is too short": ([*ASKED, (b"content-length", b"2")], b"body", REFUSED),
    "two lengths": ([*ASKED, (b"content-length", b"4"), (b"content-length", b"5")], b"body", REFUSED),
    "TRACE": (changed(b":method", b"TRACE"), b"", REFUSED),
    "CONNECT": ([(b":method", b"CONNECT"), (b":authority", b"a:22")], b"", REFUSED),
    "another's words": (
        [*ASKED, (b"x-forwarded-for", b"1.2.3.4"), (b"forwarded", b"for=1.2.3.4")],
        b"",
        [PLAIN],
    ),
}


@pytest.mark.parametrize("name", SHAPES_H2)
def test_a_shape_of_http_2_is_refused_or_arrives_as_it_should(server: Server, name: str) -> None:
    fields, body, arrives = SHAPES_H2[name]
    served = say_h2(fields, *filter(None, [body]))
    assert server.requests == arrives
    assert served is bool(arrives)


def test_a_body_that_ends_too_early_is_no_request(server: Server) -> None:
    """Its head may have been sent on; then the connection to the server ends within the body."""
    assert not say_h2([*ASKED, (b"content-length", b"9")], b"body")
    assert say(GET + b"\r\n").startswith(b"HTTP/1.1 200 ")
    assert [request for request in server.requests if complete(request)] == [PLAIN]
