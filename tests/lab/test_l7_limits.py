"""Layer 7, limits: who asks for too much is refused or waits, the others are served."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from ipaddress import ip_network

import pytest

from tests.lab.proxy import PORT, Proxy, WebServer, address, eventually, head, local_site, real, service
from tests.lab.test_l7_hardening import ASKED, SECURE, Server, say_h2
from tests.pki import Root
from willis.certificates.store import CertificateStore
from willis.model.config import Config
from willis.model.proxy import Forwarded, Http, KeepAlive, Limits, ProxyProtocol, ProxyTimeouts, Tls
from willis.model.service import Application, RealServer, VirtualService

pytestmark = pytest.mark.lab

Servers = dict[str, WebServer]
VIP = str(address(101))
HOST = {"Host": "pacs.example"}
BARE_HTTP = Http(forwarded=Forwarded.NONE)


class Wire:
    """A server of bytes at vna5: it notes what arrives and does as it is told."""

    def __init__(self) -> None:
        self.arrived: list[bytes] = []
        self.dies_after = b""
        """What ends a connection without an answer, if it is given."""
        self._listener = socket.create_server((str(address(5)), PORT + 5))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                wire, _ = self._listener.accept()
            except OSError:
                return
            self.arrived.append(b"")
            threading.Thread(target=self._serve, args=(wire, len(self.arrived) - 1), daemon=True).start()

    def _serve(self, wire: socket.socket, number: int) -> None:
        with wire:
            try:
                while said := wire.recv(65_536):
                    self.arrived[number] += said
                    if self.dies_after and self.arrived[number].endswith(self.dies_after):
                        return
                wire.sendall(b"done")
            except OSError:
                return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    found = Wire()
    yield found
    found.close()


def tcp(**changes: object) -> Config:
    """A service of bytes over vna5."""
    pool = (RealServer("vna5", address(5), PORT + 5),)
    plain = service(application=Application.GENERIC, persistence=None, pool=pool)
    return local_site(replace(plain, **changes))


def web(**changes: object) -> Config:
    return local_site(service(persistence=None, **changes))


def ask(
    source: int = 1, method: str = "GET", body: bytes | None = None, headers: dict[str, str] = HOST
) -> int:
    """The status of one request on a connection of its own; 0 if that is cut."""
    connection = http.client.HTTPConnection(VIP, PORT, timeout=30, source_address=(f"127.78.0.{source}", 0))
    try:
        connection.connect()
        with suppress(ConnectionError):  # it may be refused before all is sent
            connection.request(method, "/", body=body, headers=headers)
        return connection.getresponse().status
    except ConnectionError:
        return 0
    finally:
        connection.close()


@contextmanager
def connected(source: int = 1) -> Iterator[socket.socket]:
    with socket.create_connection((VIP, PORT), timeout=30, source_address=(f"127.78.0.{source}", 0)) as sock:
        yield sock


def served(stack: ExitStack, source: int = 1) -> bool:
    """Whether a new connection, which stays open, gets an answer."""
    try:
        sock = stack.enter_context(connected(source))
        sock.sendall(b"GET / HTTP/1.1\r\nHost: pacs.example\r\n\r\n")
        return sock.recv(100) != b""
    except ConnectionError:
        return False


def test_one_address_has_its_limit_and_others_have_theirs(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(web(limits=Limits(per_client=3, exempt=(ip_network("127.78.0.8/32"),))))
    with ExitStack() as stack:
        assert [served(stack) for _ in range(5)] == [True] * 3 + [False] * 2
        assert served(stack, 2)
        assert all(served(stack, 8) for _ in range(6))
    eventually(lambda: ask() == 200)


def test_a_limit_of_rates_is_told_with_429(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(web(limits=Limits(request_rate=10)))
    statuses = [ask() for _ in range(30)]
    assert statuses[:10] == [200] * 10
    assert set(statuses[10:]) == {429}
    assert ask(2) == 200


def test_behind_a_trusted_proxy_each_client_it_names_has_its_limit(proxy: Proxy, servers: Servers) -> None:
    """What others say of themselves counts for nothing, and the proxy's own connections are not limited."""
    trust = Http(trust=(ip_network("127.78.0.7/32"),))
    limits = Limits(request_rate=10, per_client=3, connection_rate=15, exempt=(ip_network("192.0.2.8/32"),))
    proxy.apply(web(limits=limits, http=trust))

    def statuses(source: int, client: str, number: int = 20) -> set[int]:
        named = {"X-Forwarded-For": f"198.51.100.1, {client}"}
        return {ask(source, headers=HOST | named) for _ in range(number)}

    assert statuses(7, "192.0.2.1") == {200, 429}
    assert statuses(7, "192.0.2.1", 1) == {429}
    assert statuses(7, "192.0.2.2", 9) == {200}
    assert statuses(7, "192.0.2.8") == {200}
    with ExitStack() as stack:
        assert all(served(stack, 7) for _ in range(5))
        assert [served(stack, 2) for _ in range(4)] == [True] * 3 + [False]
    assert statuses(3, "192.0.2.1", 9) == {200}
    assert 429 in statuses(3, "192.0.2.3", 5)


def test_new_connections_have_a_rate(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(web(limits=Limits(connection_rate=5)))
    statuses = [ask() for _ in range(20)]
    assert (statuses.count(200), statuses.count(0)) == (5, 15)
    assert ask(2) == 200


def test_bodies_have_a_length_and_a_limit(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(web(limits=Limits(body=2048)))
    assert ask(method="DELETE", body=b"x" * 2048) == 200
    assert ask(method="DELETE", body=b"x" * 2049) == 413
    chunked = b"POST / HTTP/1.1\r\nHost: pacs.example\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connected() as sock:
        sock.sendall(chunked)
        assert head(sock).startswith(b"HTTP/1.1 411 ")
    assert ask() == 200


@pytest.fixture
def secure(proxy: Proxy) -> Iterator[Server]:
    """A service over TLS whose bodies are at most 2048 bytes."""
    CertificateStore(proxy.home / "certificates").put(
        "pacs", Root("Drill").issue("pacs.example").pem_with_key
    )
    pool, tls = (RealServer("vna5", address(5), PORT + 5),), Tls(("pacs",))
    proxy.apply(
        local_site(
            service(SECURE, persistence=None, pool=pool, tls=tls, http=BARE_HTTP, limits=Limits(body=2048))
        )
    )
    found = Server()
    yield found
    found.close()


@pytest.mark.parametrize("method", [b"GET", b"DELETE", b"POST"])
@pytest.mark.parametrize("pieces", [[b"x" * 10], [b"x" * 1500] * 2])
def test_over_http_2_no_body_comes_without_its_length(
    secure: Server, method: bytes, pieces: list[bytes]
) -> None:
    assert not say_h2([(b":method", method), *ASKED[1:]], *pieces)
    assert secure.requests == []


def test_over_http_2_a_body_may_come_with_its_length(secure: Server) -> None:
    fields = [(b":method", b"DELETE"), *ASKED[1:]]
    assert say_h2([*fields, (b"content-length", b"2048")], b"x" * 1000, b"x" * 1048)
    assert say_h2(ASKED)
    assert [request.partition(b" ")[0] for request in secure.requests] == [b"DELETE", b"GET"]
    assert not say_h2([*fields, (b"content-length", b"2049")], b"x" * 1000, b"x" * 1049)
    assert len(secure.requests) == 2


def test_websocket_over_http_2_needs_no_length(secure: Server) -> None:
    """RFC 8441; HAProxy ends the handshake, as the server answers it with 200."""
    say_h2([(b":method", b"CONNECT"), (b":protocol", b"websocket"), *ASKED[1:]], ends=False)
    assert b"upgrade: websocket\r\n" in secure.requests[0]


def test_more_than_a_server_takes_waits_for_its_place(proxy: Proxy, wire: Wire) -> None:
    proxy.apply(tcp(limits=Limits(per_server=2)))
    with connected() as first, connected() as second, connected() as third:
        for sock in (first, second, third):
            sock.sendall(b"hello")
        eventually(lambda: wire.arrived == [b"hello", b"hello"])
        first.close()
        eventually(lambda: wire.arrived == [b"hello", b"hello", b"hello"])
        second.close()
        third.shutdown(socket.SHUT_WR)
        assert third.recv(100) == b"done"


def test_who_waits_too_long_is_let_go(proxy: Proxy, wire: Wire) -> None:
    proxy.apply(tcp(limits=Limits(per_server=1), waits=ProxyTimeouts(queue_s=1)))
    with connected() as first:
        first.sendall(b"hello")
        eventually(lambda: wire.arrived == [b"hello"])
        with connected() as second:
            second.settimeout(30)
            assert second.recv(100) == b""


def test_a_half_closed_connection_still_gets_its_answer(proxy: Proxy, wire: Wire) -> None:
    proxy.apply(tcp())
    with connected() as sock:
        sock.sendall(b"message")
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == b"done"
    assert wire.arrived == [b"message"]


def test_silence_ends_a_connection_after_its_time(proxy: Proxy, wire: Wire) -> None:
    proxy.apply(tcp(waits=ProxyTimeouts(idle_s=1)))
    with connected() as sock:
        sock.sendall(b"hello")
        sock.settimeout(30)
        assert sock.recv(100) in (b"", b"done")


@pytest.mark.parametrize("version", ProxyProtocol)
def test_servers_are_told_who_the_client_is(proxy: Proxy, wire: Wire, version: ProxyProtocol) -> None:
    proxy.apply(tcp(proxy_protocol=version))
    with connected(9) as sock:
        sock.sendall(b"hello")
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == b"done"
    begins = {"v1": b"PROXY TCP4 127.78.0.9 ", "v2": b"\r\n\r\n\0\r\nQUIT\n\x21\x11"}[version]
    assert wire.arrived[0].startswith(begins)
    assert bytes([127, 78, 0, 9]) in wire.arrived[0] or version is ProxyProtocol.V1
    assert wire.arrived[0].endswith(b"hello")


def test_a_proxy_in_front_says_who_the_client_is(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(web(behind_proxies=True, limits=Limits(per_client=1)))
    said = b"PROXY TCP4 192.0.2.%d 192.0.2.200 4000 80\r\nGET / HTTP/1.1\r\nHost: pacs.example\r\n\r\n"
    with ExitStack() as stack:
        answers = []
        for client in (1, 1, 2):
            sock = stack.enter_context(connected())
            sock.sendall(said % client)
            answers.append(_answer(sock).lower())
    assert b"x-forwarded-for: 192.0.2.1\n" in answers[0]
    assert answers[1] == b"", "the limit counts whom the proxy in front names"
    assert b"x-forwarded-for: 192.0.2.2\n" in answers[2]


def _answer(sock: socket.socket) -> bytes:
    """The body; nothing if the connection is cut."""
    answer = http.client.HTTPResponse(sock)
    try:
        answer.begin()
        return answer.read()
    except ConnectionError:
        return b""


@pytest.mark.parametrize(
    ("mode", "closes"), [(KeepAlive.BOTH, False), (KeepAlive.CLIENT, False), (KeepAlive.NONE, True)]
)
def test_connections_are_kept_as_asked(proxy: Proxy, servers: Servers, mode: KeepAlive, closes: bool) -> None:
    proxy.apply(web(http=Http(keep_alive=mode)))
    connection = http.client.HTTPConnection(VIP, PORT, timeout=30)
    connection.request("GET", "/", headers=HOST)
    answer = connection.getresponse()
    answer.read()
    assert (answer.headers["Connection"] == "close") is closes
    connection.close()


def test_only_what_is_named_is_compressed(proxy: Proxy, servers: Servers) -> None:
    servers["vna1"].kind = "text/html"
    one: VirtualService = service(
        persistence=None, http=Http(compress=("text/html",)), pool=(real(1), real(2))
    )
    proxy.apply(local_site(one))
    found = set()
    for _ in range(4):
        connection = http.client.HTTPConnection(VIP, PORT, timeout=30)
        connection.request("GET", "/", headers={**HOST, "Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        found.add((answer.headers["Content-Type"], answer.headers["Content-Encoding"]))
        connection.close()
    assert found == {("text/html", "gzip"), (None, None)}


def test_a_request_that_was_sent_is_never_sent_again(proxy: Proxy, wire: Wire) -> None:
    """The server reads the whole POST and dies: whether it was stored is for the client to ask."""
    pool = (RealServer("vna5", address(5), PORT + 5),)
    proxy.apply(local_site(service(persistence=None, pool=pool)))
    wire.dies_after = b"body"
    with connected() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: pacs.example\r\nContent-Length: 4\r\n\r\nbody")
        assert head(sock).startswith(b"HTTP/1.1 502 ")
    assert sum(part.count(b"POST / ") for part in wire.arrived) == 1
