"""Writing: any config comes back as it was, in a text that people can read."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from willis import config
from willis.config.write import token
from willis.model.check import (
    Check,
    CheckKind,
    Command,
    CommandAsk,
    Deep,
    Dicom,
    DicomAsk,
    Dns,
    DnsAsk,
    DnsType,
    Fixed,
    HalfOpen,
    Hl7,
    Hl7Ask,
    Hl7Connect,
    Http,
    HttpAsk,
    HttpField,
    HttpMethod,
    Ping,
    Query,
    Question,
    Talk,
    TcpTalk,
)
from willis.model.config import Config
from willis.model.feedback import Feedback
from willis.model.node import Attach, Host, Interface
from willis.model.persistence import CookiePersistence, Persistence, SourcePersistence
from willis.model.proxy import ServerTls
from willis.model.service import (
    Address,
    Application,
    Forwarding,
    Need,
    Protocol,
    RealServer,
    Scheduler,
    Timeouts,
    VirtualService,
    Watermarks,
)

FOUR, SIX = IPv4Address("10.0.0.0"), IPv6Address("2001:db8::")
INTERFACES = (
    Interface("eth0", (IPv4Interface("10.0.0.2/16"),)),
    Interface("no", (IPv6Interface("2001:db8::2/64"),)),
    Interface("xdp0", (IPv4Interface("192.0.2.1/31"),), Attach.XDP),
)
NAMES = st.one_of(
    st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z"),
    st.sampled_from(["no", "Null", "1e3", "010", "0x1F", "1_0", "2026-01-31", "1.0", "y", "10.0.0.1"]),
)
MILLISECONDS = st.integers(200, 60_000).map(lambda ms: ms / 1000)
SECONDS = st.one_of(st.integers(1, 86_400), st.sampled_from([60, 300, 3600, 86_400]))
PORTS = st.integers(1, 65535)
RUNS = st.tuples(st.integers(1, 65500), st.integers(1, 9)).map(lambda run: set(range(run[0], sum(run))))
TIMEOUTS = st.just(Timeouts()) | st.builds(Timeouts, SECONDS, SECONDS, SECONDS)
# SNAT and the proxy may not share a server's port, so a site here has one of the two.
MODES = [
    (Forwarding.DR, Forwarding.NAT, Forwarding.SNAT),
    (Forwarding.DR, Forwarding.NAT, Forwarding.PROXY),
]
SOURCE = st.builds(SourcePersistence, SECONDS, st.integers(1, 32))
COOKIE = st.builds(CookiePersistence, st.from_regex(r"\A[A-Za-z0-9_-]{1,32}\Z"), SECONDS, SECONDS)


TITLES = DicomAsk("PACS1", "LB", Query.STUDY)
QUESTIONS: tuple[Question, ...] = (
    HalfOpen(),
    TcpTalk(Talk(r"PING\r\n\x0b", "+PO'NG: #")),
    TcpTalk(tls=ServerTls(verify=False)),
    Ping(),
    Http(),
    Http(
        ask=HttpAsk(
            HttpMethod.OPTIONS,
            "/status?x=1&y=%20",
            None,
            "pacs.example.org:8080",
            (HttpField("X-A", "b: {c}"), HttpField("X-D", "123")),
            (200, 404),
            HttpField("Server", "no"),
            "it's *up* \\",
        )
    ),
    Http(CheckKind.HTTPS, tls=ServerTls()),
    Http(CheckKind.HTTPS, HttpAsk(path="/x"), ServerTls("ours", False, "pacs.example.org", "node")),
    Http(CheckKind.DICOMWEB, HttpAsk(root="/dicomweb/rs"), ServerTls()),
    Dicom(),
    Dicom(CheckKind.DICOM_FIND, TITLES, ServerTls("ours")),
    Hl7Connect(),
    Hl7(Hl7Ask("QBP^Q22^QBP_Q21", version="2.3")),
    Hl7(Hl7Ask("NMQ^N01", "A", "B", "C", "D", segments=("QRD|a|'b'", "QRF|x^y~z"))),
    Dns(DnsAsk("pacs.example.org", DnsType.SRV)),
    Command(CommandAsk("/opt/check", ("--name", "it's"), "checker")),
    Fixed(CheckKind.ON),
    Fixed(CheckKind.OFF),
)
DEEP = (
    Deep(Dicom(CheckKind.DICOM_FIND, TITLES, ServerTls("ours"))),
    Deep(Http(CheckKind.MINT), every=2, port=8080),
)


@st.composite
def checks(draw: st.DrawFn) -> Check:
    slow, quick = sorted((draw(MILLISECONDS), draw(MILLISECONDS)), reverse=True)
    counts = st.integers(1, 100)
    question, deep = draw(st.sampled_from(QUESTIONS)), draw(st.none() | st.sampled_from(DEEP))
    if not isinstance(question, HalfOpen | Ping | Dns | Command | Hl7Connect):
        deep = None  # a document has one record of each sort for both looks
    port = draw(st.none() | PORTS)
    return Check(
        question,
        interval_s=slow,
        timeout_s=quick,
        rise=draw(counts),
        fall=draw(counts),
        port=None if isinstance(question, Ping | Fixed) and deep is None else port,
        deep=deep,
    )


@st.composite
def services(
    draw: st.DrawFn, name: str, vip: Address, hosts: list[Host], modes: tuple[Forwarding, ...]
) -> VirtualService:
    forwarding = draw(st.sampled_from(modes))
    packets = forwarding.layer == 4
    reachable = [host for host in hosts if not packets or host.address.version == vip.version]
    protocol = draw(st.sampled_from(Protocol)) if packets else Protocol.TCP
    application = draw(st.sampled_from(Application))
    persistence: Persistence | None = draw(st.none() | SOURCE)
    if not packets and application.is_http:
        persistence = draw(st.one_of(st.none(), SOURCE, COOKIE))
    port = st.none() if forwarding is Forwarding.DR else st.none() | PORTS
    own = next(own.ip for i in INTERFACES for own in i.addresses if own.version == vip.version)

    def server(host: Host) -> RealServer:
        return RealServer(host.name, host.address, draw(port), draw(st.integers(0, 256)), host.needs)

    chosen = draw(st.lists(st.sampled_from(reachable), min_size=1, max_size=8, unique=True))
    fallback = replace(server(reachable[0]), weight=100) if draw(st.booleans()) else None
    return VirtualService(
        name=name,
        vip=vip,
        ports=tuple(sorted(set().union(*draw(st.lists(RUNS, min_size=1, max_size=4))))),
        forwarding=forwarding,
        check=draw(checks()),
        pool=tuple(map(server, chosen)),
        protocol=protocol,
        application=application,
        scheduler=draw(st.sampled_from(Scheduler)),
        persistence=persistence,
        fallback=fallback,
        source=draw(st.none() | st.just(own)) if forwarding is Forwarding.SNAT else None,
        floor=draw(st.integers(0, 1)),
        feedback=draw(st.none() | st.builds(Feedback, port=st.integers(1, 65535), least=st.integers(1, 100))),
        watermarks=draw(st.none() | st.integers(1, 999_999).map(lambda high: Watermarks(high, high - 1))),
        slow_start_s=draw(st.sampled_from([0, 30, 3600])),
        one_packet=draw(st.booleans()) if protocol is Protocol.UDP else False,
        timeouts=draw(TIMEOUTS) if packets else Timeouts(),
    )


NEEDS = st.sampled_from([(), (Need("database", FOUR + 9, 5432), Need("mount", SIX + 9, 2049))])


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Any site without errors: every service has its own VIP, layer 4 stays in its family."""
    names = draw(st.lists(NAMES, min_size=2, max_size=8, unique=True))
    hosts = [Host(n, (SIX if i % 2 else FOUR) + 256 + i, draw(NEEDS)) for i, n in enumerate(names)]
    service_names = draw(st.lists(NAMES, max_size=5, unique=True))
    modes = draw(st.sampled_from(MODES))
    vips = [draw(st.sampled_from((FOUR, SIX))) + 1024 + i for i in range(len(service_names))]
    return Config(
        site=draw(NAMES),
        interfaces=INTERFACES,
        hosts=tuple(hosts),
        services=tuple(draw(services(n, v, hosts, modes)) for n, v in zip(service_names, vips, strict=True)),
    )


@settings(deadline=None)
@given(configs())
def test_what_is_written_is_what_is_read(site: Config) -> None:
    text = config.write(site)
    loaded = config.load(text)
    assert loaded.config == site, loaded.problems
    assert config.write(loaded.config) == text
    assert isinstance(yaml.safe_load(text), dict)


def test_an_empty_config() -> None:
    assert config.load(config.write(Config())).config == Config()


def test_it_reads_plainly() -> None:
    hosts = (Host("a", FOUR + 257), Host("b", FOUR + 258))
    a, b = (RealServer(h.name, h.address) for h in hosts)
    web = VirtualService(
        name="Web",
        vip=SIX + 9,
        ports=(80, 81),
        forwarding=Forwarding.PROXY,
        check=Check(interval_s=0.5, timeout_s=0.5, port=8080),
        pool=(a, replace(b, port=8080, weight=7)),
        application=Application.HTTP,
        scheduler=Scheduler.WRR,
        persistence=CookiePersistence(),
        fallback=replace(a, port=9080),
    )
    dicom = VirtualService(
        name="Dicom",
        vip=FOUR + 9,
        ports=(104,),
        forwarding=Forwarding.DR,
        check=Check(),
        pool=(a, b),
        persistence=SourcePersistence(90, 24),
    )
    notes = {"document": "Two services.\nBoth small.", "services.Dicom": "The archive."}
    site = Config("plain", INTERFACES[:1], hosts, (dicom, web, replace(dicom, name="no", ports=(105,))))
    assert (
        config.write(site, notes)
        == """\
# Two services.
# Both small.
version: 1
site: plain

interfaces:
  eth0:
    addresses: [10.0.0.2/16]

hosts:
  a: 10.0.1.1
  b: 10.0.1.2

defaults:
  scheduler: wlc
  weight: 100
  check: {kind: tcp, interval: 5s, timeout: 2s, rise: 2, fall: 2}

services:
  # The archive.
  Dicom:
    vip: 10.0.0.9
    ports: 104
    forwarding: dr
    persistence: {kind: source-ip, timeout: 90s, mask: 24}
    pool: [a, b]

  Web:
    vip: "2001:db8::9"
    ports: [80, 81]
    application: http
    forwarding: proxy
    scheduler: wrr
    persistence: {kind: cookie}
    check: {interval: 500ms, timeout: 500ms, port: 8080}
    fallback: {host: a, port: 9080}
    pool: [a, {host: b, port: 8080, weight: 7}]

  "no":
    vip: 10.0.0.9
    ports: 105
    forwarding: dr
    persistence: {kind: source-ip, timeout: 90s, mask: 24}
    pool: [a, b]
"""
    )


def test_a_long_pool_is_a_list_of_lines() -> None:
    hosts = tuple(Host(f"imaging-host-{i}", FOUR + 256 + i) for i in range(1, 9))
    pool = tuple(RealServer(h.name, h.address) for h in hosts)
    service = VirtualService("S", FOUR + 9, (104,), Forwarding.DR, Check(), pool)
    text = config.write(Config("s", INTERFACES[:1], hosts, (service,)))
    assert "    pool:\n      - imaging-host-1\n      - imaging-host-2\n" in text
    assert max(map(len, text.splitlines())) <= 100
    assert config.load(text).problems == ()


def test_translation_and_ranges_read_plainly() -> None:
    pool = (RealServer("a", FOUR + 257, 1514),)
    service = VirtualService(
        name="Syslog",
        vip=FOUR + 9,
        ports=(514, 515, 8000, 8001, 8002, 9000),
        forwarding=Forwarding.SNAT,
        check=Check(port=104),
        pool=pool,
        protocol=Protocol.UDP,
        source=IPv4Address("10.0.0.2"),
        one_packet=True,
        timeouts=Timeouts(datagram_s=30),
    )
    hosts = (Host("a", FOUR + 257),)
    ranged = replace(service, ports=tuple(range(8000, 8011)), one_packet=False, timeouts=Timeouts())
    first, second = (config.write(Config("s", INTERFACES[:1], hosts, (each,))) for each in (service, ranged))
    assert (
        """\
    ports: [514, 515, 8000-8002, 9000]
    protocol: udp
    forwarding: snat
    source: 10.0.0.2
    one-packet: true
    timeouts: {datagram: 30s}
    check: {port: 104}
    pool: [{host: a, port: 1514}]
"""
        in first
    )
    assert "    ports: 8000-8010\n" in second


def test_a_note_cannot_leave_its_comment() -> None:
    text = config.write(Config(), {"document": "a\nsite: b\x85site: c\u2028site: d\rsite: e"})
    assert config.load(text).config == Config()


def test_a_name_that_yaml_reserves_stands_in_quotes() -> None:
    assert token("@PACS") == '"@PACS"'
    assert token('a"\\\n\u202e') == '"a\\"\\\\\\U0000000A\\U0000202E"'
