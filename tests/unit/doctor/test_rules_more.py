"""The node's own faults, the way back, and what services ask for that will disappoint."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface

import pytest

from tests.builders import ETH0, dr, host, nat, server, site, web
from willis.config import load
from willis.doctor import rules_node, rules_return, rules_service, size
from willis.doctor.finding import Severity
from willis.doctor.seen import Gateway, Knock, Learnt, Link, Reply, Seen, Settings, Size
from willis.model.check import Check, CheckKind, Deep, Dicom, HalfOpen, Hl7Connect, Talk, TcpTalk
from willis.model.config import Config
from willis.model.node import Interface
from willis.model.proxy import ProxyTimeouts
from willis.model.service import Address, Application, Protocol, Timeouts, VirtualService

MAC = b"\x02\0\0\0\0\x01"
NODE = IPv4Address("10.60.0.2")
FRONT = Interface("eth1", (IPv4Interface("10.70.0.2/24"),))


def link(name: str = "eth0", *addresses: Address, **changes: object) -> Link:
    return replace(Link(name, MAC, 1500, True, frozenset(addresses)), **changes)


def test_a_node_that_is_as_the_document_says_has_no_finding() -> None:
    config = site(dr(), web())
    seen = Seen({"eth0": link("eth0", NODE, *(s.vip for s in config.services))})
    assert not [*rules_node.interfaces(config, seen), *rules_node.filters(config, seen)]
    assert not [*rules_node.sizes(config, seen)]


def test_missing_interfaces_carriers_addresses_and_vips_are_errors() -> None:
    config = site(dr())
    (absent,) = rules_node.interfaces(config, Seen({"ens18": link("ens18")}))
    assert "no interface eth0" in absent.what and "ens18" in absent.evidence
    dead = link("eth0", NODE, IPv4Address("10.60.0.101"), carrier=False)
    (finding,) = rules_node.interfaces(config, Seen({"eth0": dead}))
    assert "no carrier" in finding.what
    own, vip = rules_node.interfaces(config, Seen({"eth0": link()}))
    assert own.fix.willis[0] == "ip address replace 10.60.0.2/24 dev eth0"
    assert vip.what == "VIP 10.60.0.101 is not on eth0: nobody answers for it"
    assert {f.severity for f in (absent, finding, own, vip)} == {Severity.ERROR}


def test_loopback_addresses_need_not_be_put_up() -> None:
    assert not list(rules_node.interfaces(site(dr()), Seen({"eth0": link(mac=b"")})))


@pytest.mark.parametrize(
    ("service", "strict", "way", "warned"),
    [
        (nat(), True, "eth1", True),
        (web(), True, "eth1", True),
        (dr(), True, "eth1", False),
        (nat(), False, "eth1", False),
        (nat(), True, "eth0", False),
    ],
)
def test_a_strict_filter_harms_what_is_not_direct_and_comes_in_elsewhere(
    service: VirtualService, strict: bool, way: str, warned: bool
) -> None:
    gateway = Gateway(way, IPv4Address("10.70.0.254"))
    seen = Seen({"eth0": link(strict=strict)}, (gateway,))
    found = list(rules_node.filters(site(service), seen))
    assert bool(found) is warned
    assert not found or found[0].fix.willis[0] == "sysctl -w net.ipv4.conf.eth0.rp_filter=2"


def test_interfaces_of_two_sizes_and_a_host_behind_a_narrow_wire() -> None:
    config = replace(site(dr()), interfaces=(ETH0, FRONT))
    links = {"eth0": link(), "eth1": link("eth1", mtu=9000)}
    (differ,) = rules_node.sizes(config, Seen(links))
    assert differ.evidence == "MTU: eth0 1500, eth1 9000"
    assert differ.fix.willis[0].startswith("ip link set eth1 mtu 1500")
    sizes = {host(1).address: Size.SMALL, host(2).address: Size.NONE, host(3).address: Size.WHOLE}
    (narrow,) = rules_node.sizes(site(dr()), Seen({"eth0": link()}, sizes=sizes))
    assert narrow.where == "vna1"


def test_clocks_that_differ_by_more_than_dates_can_tell() -> None:
    seen = Seen(skews={host(1).address: 4.0, host(2).address: -3600.0, host(3).address: 61.0})
    behind, ahead = rules_node.clocks(site(dr()), seen)
    assert "vna2 is 3600 s behind" in behind.what and "vna3 is 61 s ahead of" in ahead.what


def answered(config: Config, lost: Collection[int], dead: Collection[int] = ()) -> Seen:
    """Hosts in ``lost`` answer the node and no client; those in ``dead`` nobody."""
    owners = {("eth0", host(n).address): frozenset({bytes((2, 0, 0, 0, 1, n))}) for n in range(1, 6)}
    seen = Seen({"eth0": link()}, owners=owners)
    knocks, _ = rules_return.knocks(config, seen)
    return replace(seen, replies={k: _said(k, lost, dead) for k in knocks})


def _said(knock: Knock, lost: Collection[int], dead: Collection[int]) -> Reply:
    number = knock.mac[-1]
    silent = number in dead or (number in lost and knock.source != NODE)
    return Reply.SILENT if silent else Reply.OPEN


def test_an_answer_that_only_clients_miss_goes_by_another_gateway() -> None:
    config = site(nat())
    assert not list(rules_return.returns(config, answered(config, ())))
    (finding,) = rules_return.returns(config, answered(config, {2}, {3}))
    assert (finding.where, finding.severity) == ("vna2", Severity.ERROR)
    assert finding.fix.linux[0] == "ip route replace default via 10.60.0.2"
    assert finding.fix.windows[-1].endswith("-NextHop 10.60.0.2")


def test_a_server_of_dr_too_is_told_to_lead_its_own_address_only() -> None:
    config = site(nat(), dr())
    (finding,) = rules_return.returns(config, answered(config, {2}))
    assert finding.fix.linux[1] == "ip rule add from 10.60.0.12 table 100"


def test_a_transparent_proxy_needs_the_way_back_and_others_do_not() -> None:
    config = site(web(transparent=True), web("Plain", 115))
    knocks, _ = rules_return.knocks(config, answered(config, ()))
    assert {k.source for k in knocks} == {NODE, IPv4Address("192.0.2.1")}
    assert {k.port for k in knocks} == {8237}
    assert not rules_return.knocks(site(web(), dr()), Seen())[0]


def test_a_server_behind_a_router_is_passed_over() -> None:
    far = server(1, address=IPv4Address("10.77.0.5"))
    knocks, passed = rules_return.knocks(site(nat(pool=(far,))), Seen())
    assert not knocks
    assert passed == ["the way back from vna1: it is in no subnet of this node"]


def test_the_shortest_time_on_the_way_is_named() -> None:
    patient = web(application=Application.DICOM)
    hasty = replace(patient, waits=ProxyTimeouts(idle_s=600))
    seen = Seen(settings=Settings(conntrack_s=432_000, keepalive_s=7200))
    assert not list(rules_service.timeouts(site(patient, dr(), nat()), seen))
    (finding,) = rules_service.timeouts(site(hasty), seen)
    assert "proxy-timeouts.idle ends associations that are silent for 10 min" in finding.what
    stingy = replace(seen, settings=Settings(conntrack_s=300, keepalive_s=7200))
    (finding,) = rules_service.timeouts(site(hasty), stingy)
    assert "the node's conntrack ends associations that are silent for 5 min" in finding.what
    assert "proxy-timeouts.idle 10 min" in finding.evidence
    (finding,) = rules_service.timeouts(site(dr(timeouts=Timeouts(established_s=1800))), stingy)
    assert "timeouts.established" in finding.what


def test_udp_and_http_are_not_measured_by_associations() -> None:
    hasty = Timeouts(established_s=60)
    assert not list(rules_service.timeouts(site(dr(timeouts=hasty, protocol=Protocol.UDP)), Seen()))
    assert not list(rules_service.timeouts(site(web(waits=ProxyTimeouts(idle_s=60))), Seen()))
    (finding,) = rules_service.timeouts(site(web(waits=ProxyTimeouts(response_s=60))), Seen())
    assert "proxy-timeouts.response cuts" in finding.what


def test_shallow_checks_are_one_note_for_all() -> None:
    deep = Check(deep=Deep(Dicom()))
    talks = Check(TcpTalk(Talk(expect="220")))
    config = site(
        dr("A"), dr("B", check=deep), dr("C", check=Check(Dicom())), web("D", check=Check(HalfOpen())),
        dr("E", check=Check(Hl7Connect()), application=Application.HL7), dr("F", check=talks),
        dr("G", application=Application.GENERIC),
    )  # fmt: skip
    (finding,) = rules_service.shallow(config)
    assert finding.severity is Severity.NOTE
    assert finding.evidence == "no deep check: A, D, E"
    assert not list(rules_service.shallow(site(dr(check=deep))))


@pytest.mark.parametrize("application", [a for a in Application if a is not Application.GENERIC])
def test_the_checks_that_are_proposed_may_stand_in_a_document(application: Application) -> None:
    (finding,) = rules_service.shallow(site(dr(application=application)))
    line = finding.fix.willis[0].partition("   #")[0]
    document = f"""
version: 1
site: s
interfaces: {{eth0: {{addresses: [10.60.0.2/24]}}}}
hosts: {{pacs1: 10.60.0.11}}
services:
  S: {{vip: 10.60.0.101, ports: 104, application: {application}, forwarding: proxy, pool: [pacs1], {line}}}
"""
    config = load(document).config
    assert config is not None
    assert config.services[0].check.kind not in (CheckKind.TCP,)


def test_one_client_on_one_server_is_told_from_many() -> None:
    config = site(dr())
    busy = {("DicomRouting", "vna1"): 19, ("DicomRouting", "vna2"): 1}
    (one,) = rules_service.skews(config, Learnt({"DicomRouting": ["vna1"]}, busy))
    assert one.what.endswith("vna1 has 19 of 20 connections: one client, so one server")
    (many,) = rules_service.skews(config, Learnt({"DicomRouting": ["vna1"] * 9 + ["vna2"]}, busy))
    assert many.what.endswith("9 of 10 clients are tied to it")
    even = {("DicomRouting", f"vna{n}"): 7 for n in (1, 2, 3)}
    assert not list(rules_service.skews(config, Learnt({"DicomRouting": []}, even)))
    assert not list(rules_service.skews(config, Learnt({}, busy)))


def test_a_ping_and_its_reply() -> None:
    sent = size.request(4, 4711, 3, 1472)
    assert len(sent) == 1480
    reply = bytes((0x45, *bytes(19))) + bytes((0,)) + sent[1:]
    assert size.reply(4, 4711, reply) == 3
    assert size.reply(4, 4712, reply) is None
    assert size.reply(4, 4711, reply[:20]) is None
    assert size.reply(6, 4711, bytes((129,)) + size.request(6, 4711, 4, 56)[1:]) == 4
