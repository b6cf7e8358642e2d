"""The other kinds of looks at servers of a few lines: what each end means."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import pytest

from tests.pki import Root
from tests.unit.health.peers import CHECK, QUICK, Serve, look_at, says, silent
from willis.health import ping
from willis.health.dns import query
from willis.health.looks import Looks
from willis.model.check import (
    Check,
    CheckKind,
    Command,
    CommandAsk,
    Dns,
    DnsAsk,
    DnsType,
    Fixed,
    Hl7,
    Hl7Ask,
    Hl7Connect,
    Http,
    HttpAsk,
    HttpField,
    HttpMethod,
    Ping,
    Question,
    Talk,
    Target,
    TcpTalk,
)
from willis.model.proxy import ServerTls
from willis.model.status import Verdict
from willis.plan.verdict import Result
from willis.protocols import hl7
from willis.protocols.mllp import Deframer, frame


def look(target: Target, check: Check = CHECK) -> Result:
    return asyncio.run(Looks().look(target, check))


# HTTP


def page(status: str = "200 OK", body: str = "all is well", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", body]
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize(
    ("question", "answer", "verdict", "reason"),
    [
        (Http(), page(), Verdict.UP, "answers GET / with 200"),
        (Http(), page("302 Found"), Verdict.UP, "answers GET / with 302"),
        (Http(), page("404 Not Found"), Verdict.MISCONFIGURED, "with 404 instead of 200 to 399; look at"),
        (Http(), page("503 Unavailable"), Verdict.FAILING, "answers GET / with 503 instead of 200 to 399"),
        (Http(ask=HttpAsk(status=(401,))), page("401 Unauthorized"), Verdict.UP, "with 401"),
        (
            Http(ask=HttpAsk(status=(200, 204))),
            page("302 Found"),
            Verdict.FAILING,
            "302 instead of 200 or 204",
        ),
        (Http(ask=HttpAsk(body="all*well")), page(), Verdict.UP, "with 200"),
        (Http(ask=HttpAsk(body="well*all")), page(), Verdict.FAILING, "its body lacks what http.body says"),
        (
            Http(ask=HttpAsk(header=HttpField("X-Role", "main"))),
            page("200 OK", "", "x-role: the main one"),
            Verdict.UP,
            "with 200",
        ),
        (
            Http(ask=HttpAsk(header=HttpField("X-Role", "main"))),
            page(),
            Verdict.FAILING,
            "without the header X-Role",
        ),
        (Http(ask=HttpAsk(method=HttpMethod.HEAD)), page(body=""), Verdict.UP, "answers HEAD / with 200"),
        (Http(CheckKind.DICOMWEB), page("204 No Content", ""), Verdict.UP, "answers QIDO-RS with 204"),
        (Http(CheckKind.DICOMWEB), page("500 Oops"), Verdict.FAILING, "answers QIDO-RS with 500"),
        (Http(CheckKind.FHIR), page("302 Found"), Verdict.FAILING, "FHIR capabilities with 302"),
        (Http(CheckKind.MINT), page(), Verdict.UP, "answers the MINT query with 200"),
        (Http(), b"SSH-2.0-OpenSSH\r\n\r\n", Verdict.MISCONFIGURED, "does not speak HTTP"),
        (Http(), b"", Verdict.DEAD, "closed the connection instead of the answer to GET /"),
        (Http(), b"HTTP/1.1 200 OK\r\nX: " + b"y" * 60000, Verdict.MISCONFIGURED, "does not speak HTTP"),
        (Http(CheckKind.HTTPS, tls=None), page(), Verdict.UP, "with 200"),
    ],
)
def test_http(question: Http, answer: bytes, verdict: Verdict, reason: str) -> None:
    result = look_at(says(answer), question)
    assert (result.verdict, reason in result.reason) == (verdict, True), result.reason


@pytest.mark.parametrize("by_tls", [False, True])
def test_a_long_answer_is_read_whole(tmp_path: Path, *, by_tls: bool) -> None:
    """Several reads, and with TLS several records."""
    tls = None
    if by_tls:
        (tmp_path / "server.pem").write_bytes(Root("One").issue("pacs.example.org").pem_with_key)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(tmp_path / "server.pem")
    body = "".join(f"{number:7}\n" for number in range(8000))
    answer = page(body=body)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for at in range(0, len(answer), 999):
            writer.write(answer[at : at + 999])
        await writer.drain()

    question = Http(ask=HttpAsk(body=body), tls=ServerTls(verify=False) if by_tls else None)
    assert look_at(serve, question, tls=tls).verdict is Verdict.UP


def test_http_asks_what_it_was_told_and_tells_no_query() -> None:
    heard = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.readuntil(b"\r\n\r\n"))
        writer.write(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n5\r\n well\r\n0\r\n\r\n"
        )
        await writer.drain()

    wanted = HttpAsk(
        path="/x?who=DOE", host="pacs.example.org", headers=(HttpField("X-A", "b"),), body="all well"
    )
    result = look_at(serve, Http(ask=wanted))
    assert result.verdict is Verdict.UP
    assert heard.startswith(b"GET /x?who=DOE HTTP/1.1\r\nhost: pacs.example.org\r\n")
    assert b"x-a: b\r\n" in heard and b"connection: close\r\n" in heard
    assert "DOE" not in repr(result)


def test_http_that_takes_the_connection_and_says_nothing_is_hung() -> None:
    result = look_at(silent, Http(), QUICK)
    assert result.verdict is Verdict.HUNG
    assert "gives no answer (the answer to GET /) within 1 s" in result.reason
    assert result.reason.endswith("the application hangs")


@pytest.mark.parametrize("kind", [CheckKind.DICOMWEB, CheckKind.MINT])
def test_silence_where_only_a_database_can_answer_names_it(kind: CheckKind) -> None:
    result = look_at(silent, Http(kind), QUICK)
    assert (result.verdict, result.reason[-27:]) == (Verdict.HUNG, "hangs, or its database does")


def test_an_answer_without_end_is_up_unless_its_body_matters() -> None:
    endless = says(b"HTTP/1.1 200 OK\r\n\r\nbegins", linger=True)
    assert look_at(endless, Http(), QUICK).verdict is Verdict.UP
    assert look_at(endless, Http(ask=HttpAsk(body="ends")), QUICK).verdict is Verdict.HUNG


# HL7


def receiver(*codes: str, control_id: str | None = None, stale: int = 0) -> Serve:
    """An MLLP receiver that acknowledges with these codes, after ``stale`` old acknowledgements."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        deframer = Deframer()
        while data := await reader.read(65536):
            for message in deframer.feed(data):
                head = hl7.header(message)
                assert (head.processing, head.type) == ("T", "QBP^Q22^QBP_Q21")
                named = head.control_id if control_id is None else control_id
                for old in range(stale):
                    writer.write(frame(f"MSH|^~\\&|\rMSA|AA|OLD{old}\r".encode()))
                for code in codes:
                    writer.write(frame(f"MSH|^~\\&|RIS\rMSA|{code}|{named}|DOE^JANE\r".encode()))
                await writer.drain()

    return serve


QUERY = Hl7(Hl7Ask("QBP^Q22^QBP_Q21"))


@pytest.mark.parametrize(
    ("serve", "verdict", "reason"),
    [
        (receiver("AA"), Verdict.UP, "acknowledges QBP^Q22^QBP_Q21"),
        (receiver("AE"), Verdict.UP, "acknowledges QBP^Q22^QBP_Q21 with AE"),
        (receiver("AR", control_id=""), Verdict.UP, "with AR"),
        (receiver("AA", stale=3), Verdict.UP, "acknowledges"),
        (receiver("AA", control_id="OTHER"), Verdict.HUNG, "gives no answer (the ACK of QBP"),
        (silent, Verdict.HUNG, "gives no answer (the ACK of QBP"),
        (says(b"HTTP/1.1 400\r\n"), Verdict.MISCONFIGURED, "does not speak HL7 by MLLP: a frame begins"),
        (says(frame(b"PID|1")), Verdict.MISCONFIGURED, "does not begin with MSH"),
        (says(b""), Verdict.DEAD, "closed the connection instead of the ACK"),
    ],
)
def test_hl7(serve: Serve, verdict: Verdict, reason: str) -> None:
    result = look_at(serve, QUERY, CHECK if verdict is not Verdict.HUNG else QUICK)
    assert (result.verdict, reason in result.reason) == (verdict, True), result.reason
    assert "DOE" not in repr(result)


def test_hl7_without_a_message_is_half_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        result = look(Target(ip_address(host), port, Hl7Connect()))
        assert (result.verdict, result.kind) == (Verdict.UP, CheckKind.HL7)
        listener.settimeout(0.3)
        with pytest.raises(TimeoutError):
            listener.accept()


# TCP


@pytest.mark.parametrize(
    ("talk", "answer", "verdict"),
    [
        (Talk(), b"", Verdict.UP),
        (Talk(r"PING\r\n", "PONG"), b"+PONG\r\n", Verdict.UP),
        (Talk(r"\x50ING", r"\x2bP"), b"+PONG", Verdict.UP),
        (Talk("PING", "PONG"), b"nothing of the kind", Verdict.FAILING),
        (Talk("PING", "PONG"), b"x" * 5000 + b"PONG", Verdict.FAILING),
        (Talk("PING", "PONG"), b"", Verdict.DEAD),
    ],
)
def test_tcp_that_talks(talk: Talk, answer: bytes, verdict: Verdict) -> None:
    assert look_at(says(answer), TcpTalk(talk)).verdict is verdict


def test_a_banner_needs_no_word_of_ours() -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail\r\n")
        await writer.drain()

    assert look_at(serve, TcpTalk(Talk(expect="220"))).verdict is Verdict.UP


# DNS


@pytest.mark.parametrize(
    ("flags", "answers", "verdict"),
    [
        (0x8180, 1, Verdict.UP),
        (0x8180, 0, Verdict.MISCONFIGURED),
        (0x8182, 0, Verdict.FAILING),
        (0x8183, 0, Verdict.MISCONFIGURED),
        (0x8185, 0, Verdict.MISCONFIGURED),
        (0x0180, 1, Verdict.MISCONFIGURED),
    ],
)
def test_dns(flags: int, answers: int, verdict: Verdict) -> None:
    async def run() -> Result:
        class Server(asyncio.DatagramProtocol):
            def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
                self.transport = transport

            def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
                assert data[2:] == query(0, DnsAsk("pacs.example.org"))[2:]
                head = struct.pack(">HHHHH", flags, 1, answers, 0, 0)
                self.transport.sendto(b"\0\0" + bytes(10), addr)  # somebody else's answer
                self.transport.sendto(data[:2] + head + data[12:], addr)

        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
        host, port = transport.get_extra_info("sockname")
        found = await Looks().look(Target(ip_address(host), port, Dns(DnsAsk("pacs.example.org"))), CHECK)
        transport.close()
        return found

    assert asyncio.run(run()).verdict is verdict


def test_dns_without_a_server_is_dead() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        question = Dns(DnsAsk("x", DnsType.SOA))
        assert look(Target(IPv4Address("127.0.0.1"), port, question), QUICK).verdict is Verdict.DEAD
    assert "refused" in look(Target(IPv4Address("127.0.0.1"), port, question)).reason


# Ping


def test_a_ping_is_answered_or_says_that_we_may_not() -> None:
    result = look(Target(IPv4Address("127.0.0.1"), 0, Ping()))
    assert result.verdict in (Verdict.UP, Verdict.UNKNOWN)
    assert result.verdict is Verdict.UP or "CAP_NET_RAW" in result.reason


def test_a_ping_without_rights_is_our_own_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> socket.socket:
        raise PermissionError(1, "Operation not permitted")

    async def run() -> Result:
        monkeypatch.setattr(ping.socket, "socket", refuse)
        return await ping.look(Target(IPv4Address("127.0.0.1"), 0, Ping()), CHECK)

    result = asyncio.run(run())
    assert not result.counts
    assert "CAP_NET_RAW" in result.reason


def test_the_internet_checksum_is_that_of_the_rfc() -> None:
    raw = bytes.fromhex("0001f203f4f5f6f7")
    assert ping.checksum(raw) == 0xFFFF - 0xDDF2


# Commands


def script(place: Path, text: str) -> CommandAsk:
    file = place / "check"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    for folder in (place, *place.parents[:3]):
        if folder.stat().st_uid and folder != Path("/tmp"):
            break
        folder.chmod(folder.stat().st_mode | 0o055)
    return CommandAsk(str(file), ("--quick",))


PLACE = (IPv4Address("127.0.0.1"), 104)


@pytest.mark.parametrize(
    ("text", "verdict", "reason"),
    [
        ('test "$*" = "--quick 10.60.0.101 11112 127.0.0.1 104"', Verdict.UP, "says so"),
        ('test -z "$HOME$PYTHONPATH"', Verdict.UP, "says so"),
        ("exit 3", Verdict.FAILING, "ended with 3"),
        ("kill -9 $$", Verdict.FAILING, "ended by signal 9"),
        ("no-such-program", Verdict.UNKNOWN, "it ended with 127"),
        ("sleep 60", Verdict.HUNG, "did not end within"),
    ],
)
def test_a_command(tmp_path: Path, text: str, verdict: Verdict, reason: str) -> None:
    question = Command(script(tmp_path, text), IPv4Address("10.60.0.101"), 11112)
    result = look(Target(*PLACE, question), QUICK if verdict is Verdict.HUNG else CHECK)
    assert (result.verdict, reason in result.reason) == (verdict, True), result.reason


def test_a_command_that_others_may_change_is_not_run(tmp_path: Path) -> None:
    ask = script(tmp_path, "exit 0")
    Path(ask.program).chmod(0o777)
    result = look(Target(*PLACE, Command(ask)))
    assert not result.counts
    assert "others than root may change it" in result.reason


@pytest.mark.parametrize("program", ["/no/such/program", "/tmp"])
def test_a_command_that_is_none_is_our_own_fault(program: str) -> None:
    assert not look(Target(*PLACE, Command(CommandAsk(program)))).counts


# All


def test_on_and_off_ask_nobody() -> None:
    nowhere = IPv4Address("192.0.2.1")
    assert look(Target(nowhere, 0, Fixed(CheckKind.ON))).verdict is Verdict.UP
    assert look(Target(nowhere, 0, Fixed(CheckKind.OFF))).verdict is Verdict.DEAD


@pytest.mark.parametrize("question", [TcpTalk(), Http(), QUERY], ids=lambda q: q.kind)
def test_a_closed_port_is_dead(question: Question) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
    result = look(Target(ip_address(host), port, question))
    assert result.verdict is Verdict.DEAD
    assert result.reason == f"connection refused by 127.0.0.1:{port}"


def test_a_host_that_swallows_everything_is_dead_and_not_hung() -> None:
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as listener,
        socket.create_connection(listener.getsockname(), timeout=5),
    ):
        host, port = listener.getsockname()
        result = look(Target(ip_address(host), port, Http()), QUICK)
    assert result.verdict is Verdict.DEAD
    assert "host down, unplugged or filtered" in result.reason
