"""Half-open looks at real sockets on loopback: what the application sees, and what each end means."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from willis.health import tcp
from willis.health.looks import Looks
from willis.model.check import Check, HalfOpen, Target, TcpTalk
from willis.model.status import Verdict
from willis.plan.verdict import Result

CHECK = Check(timeout_s=5.0)


def look(target: Target, check: Check = CHECK) -> Result:
    return asyncio.run(Looks().look(target, check))


_DELAYED_ACK_MS = 40.0
"""The shortest time after which Linux sends a delayed ACK."""


def at(sock: socket.socket) -> Target:
    host, port, *_ = sock.getsockname()
    return Target(ip_address(host), port)


@contextmanager
def looked_at(count: int, backlog: int) -> Iterator[tuple[socket.socket, list[Result]]]:
    """A listener, and what so many looks at it said.

    The kernel itself completes the handshake of a look in which the machine stood still; then once more.
    """
    for left in reversed(range(10)):
        with socket.create_server(("127.0.0.1", 0), backlog=backlog) as listener:
            results: list[Result] = []
            while len(results) < count and (
                not left or all(r.took_ms < _DELAYED_ACK_MS for r in results[-1:])
            ):
                results.append(look(at(listener)))
            if len(results) == count:
                yield listener, results
                return


def test_a_listener_is_up_and_never_accepts_a_look() -> None:
    with looked_at(50, backlog=5) as (listener, results):
        assert {(r.verdict, r.reason, r.ok) for r in results} == {(Verdict.UP, "accepts connections", True)}
        listener.settimeout(0.5)
        with pytest.raises(TimeoutError):
            listener.accept()


def test_looks_never_fill_a_backlog_that_nobody_empties() -> None:
    """Full connects would: a listener with backlog 1 takes two."""
    with looked_at(200, backlog=1) as (listener, results):
        assert {result.verdict for result in results} == {Verdict.UP}
        with socket.create_connection(listener.getsockname(), timeout=30) as client:
            accepted, peer = listener.accept()
            accepted.close()
            assert peer == client.getsockname(), "the first connection accepted is the first real one"


def test_ipv6_is_looked_at_too() -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"no IPv6 on loopback: {error}")
    with listener:
        assert look(at(listener)).verdict is Verdict.UP


def test_a_refused_connection_is_dead_at_once_and_names_the_place() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = at(listener)
    result = look(target)
    assert result.verdict is Verdict.DEAD
    assert result.reason == f"connection refused by 127.0.0.1:{target.port}"
    assert (result.sent, result.received) == (f"TCP SYN to 127.0.0.1:{target.port}", "TCP RST")
    assert result.took_ms < CHECK.timeout_s * 1000


def test_silence_is_dead_after_the_timeout() -> None:
    """A full backlog drops SYNs, as an unplugged host does."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as listener,
        socket.create_connection(listener.getsockname(), timeout=5),
    ):
        result = look(at(listener), replace(CHECK, timeout_s=0.1))
    assert result.verdict is Verdict.DEAD
    assert "within 0.1 s: host down, unplugged or filtered" in result.reason


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.EPERM])
def test_our_own_faults_say_nothing_about_the_server(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(tcp.socket.socket, "connect_ex", lambda *_: code)
    result = look(Target(IPv4Address("127.0.0.1"), 9))
    assert result.verdict is Verdict.UNKNOWN
    assert not result.counts
    assert result.reason.startswith("127.0.0.1:9 could not be looked at: ")


def test_no_descriptor_left_is_our_own_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    async def with_none_left() -> Result:
        monkeypatch.setattr(tcp.socket, "socket", none_left)
        return await tcp.look(Target(IPv6Address("::1"), 9), CHECK)

    result = asyncio.run(with_none_left())
    assert result.verdict is Verdict.UNKNOWN
    assert "LimitNOFILE" in result.reason


def test_no_descriptor_stays_open() -> None:
    async def many(target: Target) -> int:
        await asyncio.gather(*(tcp.look(target, CHECK) for _ in range(100)))
        with socket.socket() as probe:
            return probe.fileno()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        first = asyncio.run(many(at(listener)))
        assert asyncio.run(many(at(listener))) == first


def test_looks_beside_one_another_never_touch_each_others_descriptors() -> None:
    """The number of a closed descriptor belongs to the next look at once."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    async def run() -> list[Result]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            host, port = server.sockets[0].getsockname()
            half, full = (Target(ip_address(host), port, q) for q in (HalfOpen(), TcpTalk()))
            found: list[Result] = []

            async def again(target: Target) -> None:
                for _ in range(30):
                    found.append(await Looks().look(target, CHECK))

            await asyncio.gather(*map(again, [half, full] * 10))
            return found

    found = asyncio.run(run())
    assert len(found) == 600
    assert {result.reason for result in found} == {"accepts connections"}
