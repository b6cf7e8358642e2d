"""Loading: documents to config, and every problem of a bad one, in the order of its lines."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willis import config
from willis.model.check import Check
from willis.model.config import Config
from willis.model.node import Attach, Host, Interface
from willis.model.persistence import CookiePersistence, SourcePersistence
from willis.model.service import (
    Application,
    Forwarding,
    Protocol,
    RealServer,
    Scheduler,
    Timeouts,
    VirtualService,
)

HEAD = "version: 1\nsite: s\ninterfaces: {eth0: {addresses: [10.60.0.2/24]}}\nhosts: {a: 10.60.0.11}\n"
SERVICE = "services:\n  S:\n    vip: 10.60.0.101\n    ports: 80\n    forwarding: proxy\n    pool: [a]\n"


def paths(text: str) -> list[tuple[int, str]]:
    loaded = config.load(text)
    assert loaded.config is None
    return [(problem.line, problem.path) for problem in loaded.problems]


def test_everything_that_can_be_said() -> None:
    loaded = config.load(
        """\
version: 1
site: full
interfaces:
  eth0: {addresses: [10.60.0.2/24], attach: xdp}
hosts:
  a: 10.60.0.11
  b: {address: 10.60.0.12}
defaults:
  scheduler: wrr
  weight: 10
  check: {kind: tcp, interval: 2s, timeout: 500ms, rise: 3, fall: 4}
services:
  Both:
    vip: 10.60.0.101
    ports: [11112, 104]
    protocol: tcp
    application: dicom
    forwarding: dr
    scheduler: mh
    weight: 20
    persistence: {kind: source-ip, timeout: 10m, mask: 24}
    check: {interval: 1s, port: 104}
    fallback: b
    pool: [a]
  Web:
    vip: 10.60.0.102
    ports: 80
    application: http
    forwarding: proxy
    persistence: {kind: cookie, name: SID, idle: 1m, life: 1d}
    pool: [{host: a, port: 8080, weight: 0}, {host: b}]
"""
    )
    a, b = IPv4Address("10.60.0.11"), IPv4Address("10.60.0.12")
    assert loaded.problems == ()
    assert loaded.config == Config(
        site="full",
        interfaces=(Interface("eth0", (IPv4Interface("10.60.0.2/24"),), Attach.XDP),),
        hosts=(Host("a", a), Host("b", b)),
        services=(
            VirtualService(
                name="Both",
                vip=IPv4Address("10.60.0.101"),
                ports=(104, 11112),
                forwarding=Forwarding.DR,
                check=Check(interval_s=1, timeout_s=0.5, rise=3, fall=4, port=104),
                pool=(RealServer("a", a, None, 20),),
                application=Application.DICOM,
                scheduler=Scheduler.MH,
                persistence=SourcePersistence(600, 24),
                fallback=RealServer("b", b),
            ),
            VirtualService(
                name="Web",
                vip=IPv4Address("10.60.0.102"),
                ports=(80,),
                forwarding=Forwarding.PROXY,
                check=Check(interval_s=2, timeout_s=0.5, rise=3, fall=4),
                pool=(RealServer("a", a, 8080, 0), RealServer("b", b, None, 10)),
                application=Application.HTTP,
                scheduler=Scheduler.WRR,
                persistence=CookiePersistence("SID", 60, 86400),
            ),
        ),
    )


def test_silence_means_the_defaults() -> None:
    loaded = config.load(HEAD + SERVICE)
    assert loaded.config is not None and loaded.problems == ()
    service = loaded.config.services[0]
    assert (service.check, service.scheduler, service.protocol) == (Check(), Scheduler.WLC, Protocol.TCP)
    assert service.pool == (RealServer("a", IPv4Address("10.60.0.11")),)


def test_everything_that_can_be_said_of_translation() -> None:
    text = SERVICE.replace("forwarding: proxy", "forwarding: snat") + "    source: 10.60.0.2\n"
    text += "    protocol: udp\n    timeouts: {established: 1h, closing: 10s, datagram: 1m}\n"
    loaded = config.load(HEAD + text + "    check: {port: 81}\n    one-packet: false\n")
    assert loaded.config is not None and loaded.problems == ()
    service = loaded.config.services[0]
    assert (service.forwarding, service.source) == (Forwarding.SNAT, IPv4Address("10.60.0.2"))
    assert (service.timeouts, service.one_packet) == (Timeouts(3600, 10, 60), False)
    one = config.load(
        HEAD + text.replace("snat", "dr").replace("    source: 10.60.0.2\n", "    one-packet: true\n")
    )
    assert one.config is not None and one.config.services[0].one_packet


@pytest.mark.parametrize(
    ("ports", "first", "last", "count"),
    [
        ("8000-8010", 8000, 8010, 11),
        ("[8000-8010, 80]", 80, 8010, 12),
        ("1-1024", 1, 1024, 1024),
        ("[1-512, 513-1023, 9999]", 1, 9999, 1024),
    ],
)
def test_ranges_of_ports_are_written_out(ports: str, first: int, last: int, count: int) -> None:
    loaded = config.load(HEAD + SERVICE.replace("ports: 80", f"ports: {ports}"))
    assert loaded.config is not None and loaded.problems == ()
    found = loaded.config.services[0].ports
    assert (found[0], found[-1], len(found), list(found)) == (first, last, count, sorted(set(found)))


@pytest.mark.parametrize(
    ("ports", "path", "says"),
    [
        ("1-1025", "ports", "These are 1,025 ports; Willis takes at most 1,024"),
        ("[1-1024, 8080]", "ports", "These are 1,025 ports"),
        ("1-65535", "ports", "These are 65,535 ports"),
        ("[80-90, 85]", "ports[1]", "Port 85 is already in 80-90."),
        ("[85, 80-90, 95]", "ports[1]", "Port 85 is already in 85."),
        ("[80-90, 80-90]", "ports[1]", "The port 80-90 is listed twice."),
        ("[80-90, 90-80]", "ports[1]", "The range 90-80 does not ascend."),
    ],
)
def test_ports_that_are_too_many_or_named_twice(ports: str, path: str, says: str) -> None:
    problems = config.load(HEAD + SERVICE.replace("ports: 80", f"ports: {ports}")).problems
    assert [problem.path for problem in problems] == [f"services.S.{path}"]
    assert problems[0].what.startswith(says)


def test_the_mask_is_the_whole_address_of_either_family() -> None:
    text = (HEAD + SERVICE).replace("10.60.0.2/24", '10.60.0.2/24, "2001:db8::2/64"')
    text = text.replace("vip: 10.60.0.101", 'vip: "2001:db8::100"') + "    persistence: {kind: source-ip}\n"
    loaded = config.load(text)
    assert loaded.config is not None
    assert loaded.config.services[0].persistence == SourcePersistence(300, 128)


def test_an_empty_site_is_said_in_words() -> None:
    assert config.load("version: 1\nsite: s\ninterfaces: {}\nhosts: {}\nservices: {}\n").config == Config("s")


def test_all_problems_by_line() -> None:
    text = """\
version: 1.0
site: no
interfaces:
  eth0: {addresses: [10.60.0.2/24, 10.60.0.2/24], attach: tcxx}
hosts:
  a: 10.60.0.11
  a: 10.60.0.12
  off: 10.60.0.13
  2026-01-31: 10.60.0.14
defaults: {check: {interval: 5, timeout: 1:30}, wieght: 5}
services:
  One:
    vip: &v 10.60.0.101
    ports: 22:22
    forwarding: dr
    pool: [a, b, {host: a, weight: 300}]
  Two:
    vip: *v
    ports: [0o17, ~, "80", 99999, 81, 81]
    persistance: {kind: source-ip}
    check: {port: {}}
    pool: []
  Three:
    vip: 10.60.0.103
    ports: 80
    forwarding: proxy
    application: [http]
    persistence: {kind: cooky}
    fallback:
    pool: a
  Four: 10.60.0.104
"""
    assert paths(text) == [
        (1, "version"),
        (2, "site"),
        (4, "interfaces.eth0.addresses[1]"),
        (4, "interfaces.eth0.attach"),
        (7, "hosts.a"),
        (8, "hosts.off"),
        (9, "hosts.2026-01-31"),
        (10, "defaults.check.interval"),
        (10, "defaults.check.timeout"),
        (10, "defaults.wieght"),
        (13, "services.One.vip"),
        (14, "services.One.ports"),
        (16, "services.One.pool[2].weight"),
        (16, "services.One.pool[1]"),
        (16, "services.One.pool[2].host"),
        (17, "services.Two.forwarding"),
        (18, "services.Two.vip"),
        (19, "services.Two.ports[0]"),
        (19, "services.Two.ports[1]"),
        (19, "services.Two.ports[2]"),
        (19, "services.Two.ports[3]"),
        (19, "services.Two.ports[5]"),
        (20, "services.Two.persistance"),
        (21, "services.Two.check.port"),
        (22, "services.Two.pool"),
        (27, "services.Three.application"),
        (28, "services.Three.persistence.kind"),
        (29, "services.Three.fallback"),
        (30, "services.Three.pool"),
        (31, "services.Four"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "remedy"),
    [
        ("services:", "servces:", "Did you mean 'services'?"),
        ("    vip:", "    VIP:", "Did you mean 'vip'?"),
        ("pool: [a]", "pool: [A]", "Did you mean 'a'?"),
        ("proxy", "prox", "Did you mean 'proxy'?"),
        ("hosts: {a:", "hosts: {no:", 'write it in quotes: "no"'),
        ("pool: [a]", "pool: []", "Name at least one real server."),
        ("ports: 80", "prts: 80", "Did you mean 'ports'?"),
        ("ports: 80", "ports: 80\n    colour: red", "The keys here are vip, ports,"),
        ("ports: 80", "ports: 80\n    check: {port: true}", "a whole number, 1 to 65535"),
        ("    ports: 80\n    forwarding: proxy", "    forwarding: snat", "Name the port or ports."),
        ("interfaces: {eth0: {addresses: [10.60.0.2/24]}}\n", "", "or {} if there is none"),
    ],
)
def test_remedies(old: str, new: str, remedy: str) -> None:
    problems = config.load((HEAD + SERVICE).replace(old, new)).problems
    assert any(remedy in problem.remedy for problem in problems), problems


def test_a_misspelt_key_is_not_also_missing() -> None:
    assert paths((HEAD + SERVICE).replace("    vip:", "    vpi:")) == [(7, "services.S.vpi")]


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("    ports: [" + ", ".join(map(str, range(1, 1026))) + "]\n", 1024),
        ("    pool: [" + ", ".join(f"h{i}" for i in range(65)) + "]\n", 64),
    ],
)
def test_lists_are_bounded(text: str, most: int) -> None:
    key = text.split(":")[0]
    lines = [line for line in SERVICE.splitlines(keepends=True) if not line.startswith(key)]
    problems = config.load(HEAD + "".join(lines) + text).problems
    assert [problem.what for problem in problems if f"at most {most}" in problem.what]


@pytest.mark.parametrize("text", ["", "[]", "just text", "1", "~", "- a\n- b", "{", "? {a: b}\n: c", "\x00"])
def test_what_is_no_document_is_one_problem(text: str) -> None:
    loaded = config.load(text)
    assert loaded.config is None
    assert all(problem.line >= 1 and problem.what and problem.remedy for problem in loaded.problems)


WORDS = [
    "version: 1",
    "site: s",
    "hosts:",
    "services:",
    "  S:",
    "    vip: ::1",
    "    pool: [a, {host: b}]",
    "!!x",
]
WORDS += [
    "a: *b",
    "&b",
    "'",
    '"',
    "{",
    "}",
    "[",
    "]",
    ",",
    ": ",
    "- ",
    "\n",
    "  ",
    "#",
    "|",
    ">",
    "?",
    "---\n",
    "\t",
]


@given(st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=5)), max_size=40).map("".join))
def test_no_text_makes_it_raise(text: str) -> None:
    loaded = config.load(text)
    assert loaded.config is not None or loaded.problems


def test_every_broken_line_of_a_sound_document_is_survived() -> None:
    """Each line in turn is removed or spoilt; what is said stays well-formed."""
    lines = (HEAD + SERVICE).splitlines()
    for i, line in enumerate(lines):
        for spoilt in (
            [],
            [line.split(":")[0] + ":"],
            [line + " x"],
            [line + ": ["],
            ["  " + line],
            [line, line],
        ):
            loaded = config.load("\n".join([*lines[:i], *spoilt, *lines[i + 1 :]]))
            assert loaded.config is not None or loaded.problems


def test_5500_real_servers() -> None:
    hosts = "".join(f"  h{i}: 10.1.{i // 250}.{i % 250 + 1}\n" for i in range(5500))
    services = "".join(
        f"  S{n}:\n    vip: 10.2.{n // 250}.{n % 250 + 1}\n    ports: 104\n    forwarding: dr\n    pool:\n"
        + "".join(f"      - {{host: h{n * 10 + i}, weight: {i + 1}}}\n" for i in range(10))
        for n in range(550)
    )
    head = "version: 1\nsite: big\ninterfaces: {eth0: {addresses: [10.0.0.2/8]}}\n"
    loaded = config.load(f"{head}hosts:\n{hosts}services:\n{services}")
    assert loaded.problems == () and loaded.config is not None
    assert sum(len(service.pool) for service in loaded.config.services) == 5500
    last = loaded.config.services[-1].pool[-1]
    assert last == RealServer("h5499", IPv4Address("10.1.21.250"), None, 10)
