"""Every rule across objects: a sound document, one change, and exactly the problem it makes."""

from __future__ import annotations

import re

import pytest

from willis import config
from willis.config.rules import statements

SOUND = """\
version: 1
site: rules
interfaces:
  eth0:
    addresses: [10.60.0.2/24]
  eth1:
    addresses: [192.0.2.2/24, "2001:db8::2/64"]
hosts:
  a: 10.60.0.11
  b: 10.60.0.12
  six: "2001:db8::11"
  far: 198.51.100.1
services:
  Dicom:
    vip: 10.60.0.101
    ports: 104
    application: dicom
    forwarding: dr
    persistence: {kind: source-ip, mask: 24}
    check: {interval: 5s, timeout: 2s}
    pool: [a, b]
  Web:
    vip: 192.0.2.100
    ports: 80
    protocol: tcp
    application: http
    forwarding: proxy
    persistence: {kind: cookie}
    fallback: far
    pool: [{host: a, port: 8080}, b]
  Six:
    vip: "2001:db8::100"
    ports: 104
    application: generic
    forwarding: dr
    pool: [six]
"""


def problems(*changes: tuple[str, str], text: str = SOUND) -> list[str]:
    """The problems after the changes, as ``severity path: what``; every remedy is a sentence."""
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    loaded = config.load(text)
    assert all(re.fullmatch(r"[A-Z].*[.}]", p.remedy) and p.what.endswith(".") for p in loaded.problems)
    assert (loaded.config is None) == any(p.severity == "error" for p in loaded.problems)
    return [f"{p.severity} {p.path}: {p.what}" for p in loaded.problems]


def test_the_sound_document_is_sound() -> None:
    assert problems() == []


D, W = "services.Dicom", "services.Web"

DICOM_DR = "forwarding: dr\n    persistence"

CASES = {
    "tun is refused": (
        (DICOM_DR, DICOM_DR.replace("dr", "tun")),
        [f"error {D}.forwarding: Forwarding 'tun' is not carried by this version"],
    ),
    "nat names the servers' gateway": (
        (DICOM_DR, DICOM_DR.replace("dr", "nat")),
        [f"warning {D}.forwarding: In NAT the answers of a, b must return through the node"],
    ),
    "snat hides modalities": (
        (DICOM_DR, DICOM_DR.replace("dr", "snat")),
        [f"warning {D}.forwarding: With SNAT the real servers see the node's address instead"],
    ),
    "snat hides modalities behind its source": (
        (DICOM_DR, DICOM_DR.replace("dr", "snat\n    source: 10.60.0.101")),
        [f"warning {D}.forwarding: With SNAT the real servers see 10.60.0.101 instead"],
    ),
    "source is somebody else's": (
        (DICOM_DR, DICOM_DR.replace("dr", "snat\n    source: 10.60.0.12")),
        [
            f"warning {D}.forwarding: With SNAT",
            f"error {D}.source: 10.60.0.12 is neither an address of the node nor a VIP",
        ],
    ),
    "source is of the other family": (
        (DICOM_DR, DICOM_DR.replace("dr", 'snat\n    source: "2001:db8::2"')),
        [
            f"warning {D}.forwarding: With SNAT",
            f"error {D}.source: IPv4 traffic cannot get the source 2001:db8::2.",
        ],
    ),
    "source is for snat": (
        (DICOM_DR, DICOM_DR.replace("dr", "dr\n    source: 10.60.0.2")),
        [f"error {D}.source: Forwarding 'dr' has no use for a source"],
    ),
    "one packet is for udp": (
        (DICOM_DR, DICOM_DR.replace("dr", "dr\n    one-packet: true")),
        [f"error {D}.one-packet: Only UDP at layer 4"],
    ),
    "one packet is not for the proxy": (
        ("forwarding: proxy", "forwarding: proxy\n    one-packet: true"),
        [f"error {W}.one-packet: Only UDP at layer 4"],
    ),
    "one packet is remembered by nat": (
        (
            "application: generic\n    forwarding: dr",
            "protocol: udp\n    check: {port: 80}\n    one-packet: true\n    forwarding: nat",
        ),
        [
            "warning services.Six.one-packet: With nat, datagrams from one port",
            "warning services.Six.forwarding: In NAT the answers of six",
        ],
    ),
    "time-outs are of layer 4": (
        ("forwarding: proxy", "forwarding: proxy\n    timeouts: {established: 1h}"),
        [f"error {W}.timeouts: These time-outs are of layer 4"],
    ),
    "all ports go to one": (
        (
            SOUND[SOUND.index("ports: 104") : SOUND.index("  Web:")],
            "ports: [104, 105]\n    forwarding: snat\n    pool: [{host: a, port: 105}, b]\n",
        ),
        [f"warning {D}.pool[0].port: All 2 ports of this service go to port 105 of a"],
    ),
    "nat stays in the family": (
        (
            SOUND[SOUND.index("forwarding: dr") : SOUND.index("  Web:")],
            "forwarding: nat\n    pool: [a, b, six]\n",
        ),
        [
            f"warning {D}.forwarding: In NAT the answers of a, b must return",
            f"warning {D}.forwarding: In NAT the answers of six must return",
            f"error {D}.pool[2]: NAT cannot send IPv4 traffic to six",
        ],
    ),
    "dr keeps the port": (
        ("pool: [a, b]", "pool: [a, {host: b, port: 105}]"),
        [f"error {D}.pool[1].port: DR cannot change the port"],
    ),
    "dr keeps the fallback's port": (
        ("pool: [a, b]", "fallback: {host: six, port: 105}\n    pool: [a, b]"),
        [
            f"error {D}.fallback.port: DR cannot change the port",
            f"error {D}.fallback.host: DR cannot send IPv4 traffic to six",
        ],
    ),
    "dr with two ports names none": (
        (
            SOUND[SOUND.index("ports: 104") : SOUND.index("  Web:")],
            "ports: [104, 105]\n    forwarding: dr\n    pool: [{host: a, port: 105}, b]\n",
        ),
        [f"error {D}.pool[0].port: DR cannot change the port: it stays 104 or 105"],
    ),
    "dr reaches its servers": (
        ("pool: [a, b]", "pool: [a, b, far]"),
        [f"error {D}.pool[2]: DR needs an interface of the node in the subnet of far"],
    ),
    "dr reaches its fallback server": (
        ("pool: [a, b]", "fallback: far\n    pool: [a, b]"),
        [f"error {D}.fallback: DR needs an interface"],
    ),
    "dr stays in the family": (
        ("pool: [a, b]", "pool: [a, six]"),
        [f"error {D}.pool[1]: DR cannot send IPv4 traffic to six"],
    ),
    "vip in a subnet": (
        ("vip: 10.60.0.101", "vip: 10.61.0.101"),
        [f"error {D}.vip: The VIP 10.61.0.101 lies in no subnet"],
    ),
    "vip is a host": (
        ("vip: 10.60.0.101", "vip: 10.60.0.12"),
        [f"error {D}.vip: The VIP 10.60.0.12 is the address of the host b"],
    ),
    "vip is the node": (
        ("vip: 10.60.0.101", "vip: 10.60.0.2"),
        [f"error {D}.vip: The VIP 10.60.0.2 is the node's own address on eth0"],
    ),
    "vip is a broadcast address": (
        ("vip: 10.60.0.101", "vip: 10.60.0.255"),
        [f"error {D}.vip: The VIP 10.60.0.255 is the first or last"],
    ),
    "one owner": (
        ("vip: 192.0.2.100\n    ports: 80", "vip: 10.60.0.101\n    ports: [80, 104]"),
        [f"error {W}.vip: Port 104/tcp of 10.60.0.101 already belongs to Dicom"],
    ),
    "cookie needs layer 7 and http": (
        ("{kind: source-ip, mask: 24}", "{kind: cookie}"),
        [
            f"error {D}.persistence.kind: This persistence needs layer 7",
            f"error {D}.persistence.kind: A cookie or header needs HTTP",
        ],
    ),
    "cookie needs http": (
        ("application: http", "application: dicom"),
        [f"error {W}.persistence.kind: A cookie or header needs HTTP"],
    ),
    "mask fits": (
        ("mask: 24", "mask: 33"),
        [f"error {D}.persistence.mask: The mask 33 is longer than an IPv4 address"],
    ),
    "udp is layer 4": (
        ("protocol: tcp", "protocol: udp\n    check: {port: 80}"),
        [f"error {W}.protocol: The layer-7 proxy carries TCP only"],
    ),
    "host once in a pool": (
        ("pool: [a, b]", "pool: [a, b, {host: a, weight: 5}]"),
        [f"error {D}.pool[2].host: a is already in this pool, as pool[0]"],
    ),
    "host is the node": (
        ("far: 198.51.100.1", "far: 192.0.2.2"),
        ["error hosts.far: 192.0.2.2 is the node's own address on eth1"],
    ),
    "subnets overlap": (
        ("[192.0.2.2/24, ", "[192.0.2.2/24, 10.60.0.130/25, "),
        ["error interfaces.eth1.addresses[1]: 10.60.0.130/25 overlaps with 10.60.0.2/24 of eth0"],
    ),
    "address twice": (
        ("[10.60.0.2/24]", "[10.60.0.2/24, 10.60.0.2/25]"),
        ["error interfaces.eth0.addresses[1]: 10.60.0.2/25 overlaps"],
    ),
    "unused host": (
        ("    fallback: far\n", ""),
        ["warning hosts.far: No service uses the host far"],
    ),
    "two names for a machine": (
        ("far: 198.51.100.1", "far: 10.60.0.11"),
        ["warning hosts.far: far has the address of a"],
    ),
    "fallback in the pool": (
        ("fallback: far", "fallback: b"),
        ["warning hosts.far: No service", f"warning {W}.fallback: b is also in the pool"],
    ),
    "no weight left": (
        ("pool: [six]", "pool: [{host: six, weight: 0}]"),
        ["warning services.Six.pool: All weights are 0"],
    ),
    "slow check": (
        ("timeout: 2s", "timeout: 6s"),
        [f"warning {D}.check: A look may take 6 s but the next is due after 5 s"],
    ),
    "udp checked by tcp": (
        ("ports: 104\n    application: generic", "ports: 104\n    protocol: udp"),
        ["warning services.Six.check: The check connects by TCP to the port that serves UDP"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_rule(case: str) -> None:
    change, expected = CASES[case]
    found = problems(change)
    assert len(found) == len(expected), found
    assert all(is_.startswith(wanted) for is_, wanted in zip(found, expected, strict=True)), found


SNAT = ("forwarding: dr\n    persistence", "forwarding: snat\n    persistence")
SHARED = ("ports: 104\n    application: dicom\n", "ports: 8080\n")


def test_snat_and_proxy_share_no_server_port() -> None:
    shared = problems(SNAT, SHARED)
    assert len(shared) == 1
    assert shared[0].startswith(f"error {D}.pool[0]: Port 8080 of a also serves the layer-7 service Web")
    assert shared[0].endswith("conntrack cannot tell the proxy's own from translated ones.")


def test_nat_or_udp_may_share_a_servers_port_with_the_proxy() -> None:
    """The client's address, or the protocol, tells the connections apart."""
    udp = (SHARED[0], SHARED[1] + "    protocol: udp\n")
    assert problems(SNAT, udp, ("{interval: 5s", "{port: 104, interval: 5s")) == []
    nat = (SNAT[0], SNAT[1].replace("snat", "nat"))
    assert [line.split(":")[0] for line in problems(nat, SHARED)] == [f"warning {D}.forwarding"]


def test_the_servers_gateway_is_told_once_a_subnet() -> None:
    nat = "\n    ports: 1\n    forwarding: nat\n    pool: [a, far]\n"
    text = SOUND + f"  One:\n    vip: 10.60.0.8{nat}" + f"  Two:\n    vip: 10.60.0.9{nat}    fallback: b\n"
    found = [problem for problem in config.load(text).problems if problem.path.endswith(".forwarding")]
    assert [problem.what.split(" must")[0] for problem in found] == [
        "In NAT the answers of a, b",
        "In NAT the answers of far",
    ]
    assert found[0].remedy.startswith("Make 10.60.0.2 their default gateway")
    assert "let their router send what comes from them to the node" in found[1].remedy


def test_two_protocols_may_share_a_port() -> None:
    udp = "\n    protocol: udp\n    check: {port: 104}\n    forwarding: dr\n    pool: [a]\n"
    assert problems(text=SOUND + "  Udp:\n    vip: 10.60.0.101\n    ports: 104" + udp) == []


def test_naming_the_services_own_port_in_dr_is_no_change() -> None:
    loaded = config.load(SOUND.replace("pool: [a, b]", "pool: [{host: a, port: 104}, b]"))
    assert loaded.config == config.load(SOUND).config


def test_two_addresses_of_one_interface_may_share_a_subnet() -> None:
    assert problems(("[10.60.0.2/24]", "[10.60.0.2/24, 10.60.0.3/24]")) == []


def test_an_unreached_host_is_told_once() -> None:
    more = "  More:\n    vip: 10.60.0.9\n    ports: 1\n    forwarding: dr\n    pool: [a]\n"
    found = problems(("a: 10.60.0.11", "a: 10.66.0.11"), text=SOUND + more)
    assert [line.split(":")[0] for line in found] == [f"error {D}.pool[0]"]
    assert "1 more DR services use it" in found[0]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (("[10.60.0.2/24]", "[10.60.0.2]"), "interfaces.eth0.addresses[0]"),
        (("a: 10.60.0.11", "a: 10.60.0.999"), "hosts.a"),
        (("vip: 10.60.0.101", "vip: here"), f"{D}.vip"),
        (("forwarding: dr\n    persistence", "forwarding: rd\n    persistence"), f"{D}.forwarding"),
        (("application: http", "application: htp"), f"{W}.application"),
        (("ports: 80", "ports: 22:22"), f"{W}.ports"),
        (("protocol: tcp", "protocol: tpc"), f"{W}.protocol"),
        (("pool: [six]", "pool: [sixx]"), "services.Six.pool[0]"),
        (("timeout: 2s", "timeout: 2"), f"{D}.check.timeout"),
        (("hosts:", "hots:"), "hots"),
        (("interfaces:", "interface:"), "interface"),
    ],
)
def test_no_rule_speaks_about_a_broken_value(change: tuple[str, str], path: str) -> None:
    found = [line.split(":")[0] for line in problems(change) if not line.startswith("warning hosts.six")]
    assert found == [f"error {path}"]


def test_every_rule_states_itself() -> None:
    assert all(re.fullmatch(r"[A-Z].*\.", statement) for statement in statements())
