"""What the doctor makes of what it saw."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from tests.builders import dr, host, site, web
from willis.doctor import rules_path, rules_wire
from willis.doctor.finding import Finding, Severity
from willis.doctor.seen import Gateway, Knock, Link, Reply, Seen
from willis.model.config import Config
from willis.model.service import Protocol
from willis.model.status import Admin, Place, Status

VIP = IPv4Address("10.60.0.101")
ROUTER = IPv4Address("10.60.0.254")
NODE = b"\x02\0\0\0\0\x01"
LINK = Link("eth0", NODE, 1500, True)


def mac(number: int) -> bytes:
    return bytes((2, 0, 0, 0, 1, number))


def looked(config: Config, *thieves: tuple[str, bytes]) -> Seen:
    """Every host answers for itself, and thieves for VIPs."""
    owners = {("eth0", host(n).address): frozenset({mac(n)}) for n in range(1, 6)}
    owners |= {("eth0", s.vip): frozenset() for s in config.services}
    owners[("eth0", ROUTER)] = frozenset({mac(254)})
    for address, thief in thieves:
        owners[("eth0", IPv4Address(address))] = frozenset({thief})
    return Seen({"eth0": LINK}, (Gateway("eth0", ROUTER),), owners)


def test_nobody_is_accused_where_only_the_node_answers() -> None:
    config = site(dr(), web())
    assert not [*rules_wire.thieves(config, looked(config)), *rules_wire.strangers(config, looked(config))]


def test_a_real_server_that_steals_is_named_once_with_all_vips_and_told_to_keep_quiet() -> None:
    config = site(dr(), dr("Other", 102), web())
    found = [*rules_wire.thieves(config, looked(config, ("10.60.0.101", mac(2)), ("10.60.0.102", mac(2))))]
    (finding,) = found
    assert finding.severity is Severity.ERROR and finding.where == "vna2"
    assert "real server vna2 answers ARP for VIPs 10.60.0.101, 10.60.0.102" in finding.what
    assert finding.evidence.startswith("02:00:00:00:01:02 answered on eth0")
    linux = finding.fix.linux
    assert linux[0] == "sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2"
    assert linux[1].startswith("for vip in 10.60.0.101 10.60.0.102; do ")
    assert linux[1].endswith("; ip address replace $vip/32 dev lo; done")
    assert any("weakhostreceive=enabled" in line for line in finding.fix.windows)
    assert any("-SkipAsSource $true" in line for line in finding.fix.windows)


def test_a_server_that_has_a_vip_it_does_not_serve_is_told_to_give_it_up() -> None:
    config = site(dr(), web())
    (finding,) = rules_wire.thieves(config, looked(config, ("10.60.0.114", mac(1))))
    assert not any("dev lo" in line or "arp_ignore" in line for line in finding.fix.linux)
    assert finding.fix.linux[0].startswith("for vip in 10.60.0.114; do ")
    assert "address del" in finding.fix.linux[0]


def test_a_router_and_a_machine_that_nobody_knows_are_told_apart() -> None:
    config = site(dr())
    (router,) = rules_wire.thieves(config, looked(config, ("10.60.0.101", mac(254))))
    assert "the router 10.60.0.254 answers ARP" in router.what
    (unknown,) = rules_wire.thieves(config, looked(config, ("10.60.0.101", mac(77))))
    assert "already in use by the machine with MAC 02:00:00:00:01:4d" in unknown.what


def test_a_network_that_answers_for_everybody_is_no_real_server() -> None:
    config = site(dr())
    cloud = b"\x12\x34\x56\x78\x9a\xbc"
    found = looked(config)
    (finding,) = rules_wire.thieves(
        config, replace(found, owners=dict.fromkeys(found.owners, frozenset({cloud})))
    )
    assert finding.severity is Severity.WARNING
    assert "virtual network that answers for all" in finding.what
    assert not finding.fix.windows


def test_a_vip_that_is_answered_for_on_another_interface_only_is_a_warning() -> None:
    config = site(dr())
    found = looked(config)
    owners = {**found.owners, ("eth1", VIP): frozenset({mac(1)})}
    (finding,) = rules_wire.thieves(config, replace(found, owners=owners))
    assert finding.severity is Severity.WARNING


def test_a_host_that_nobody_answers_for_and_one_that_two_do() -> None:
    config = site(dr())
    found = looked(config)
    owners = {**found.owners, ("eth0", host(1).address): frozenset()}
    owners["eth0", host(2).address] = frozenset({mac(2), mac(9)})
    first, second = rules_wire.strangers(config, replace(found, owners=owners))
    assert "nobody answers for vna1" in first.what
    assert "10.60.0.12 of vna2 is answered for by 2 network cards" in second.what


def test_a_halted_host_is_left_in_peace_and_a_silent_one_has_no_mac_to_knock_at() -> None:
    config = site(dr())
    status = Status(admin={Place("vna2"): Admin.HALT})
    found = looked(config)
    owners = {**found.owners, ("eth0", host(3).address): frozenset()}
    knocks, passed = rules_path.knocks(config, status, replace(found, owners=owners))
    assert {each.mac for each in knocks} == {mac(1)}
    assert {each.destination for each in knocks} == {VIP, host(1).address}
    assert passed == ["vna2 in DicomRouting: halted by an administrator"]


def knocked(config: Config, told: dict[tuple[int, str], Reply]) -> list[Finding]:
    """``told``: by host number and address; all else is open."""
    found = looked(config)
    knocks, _ = rules_path.knocks(config, Status(), found)
    replies = {each: told.get((each.mac[-1], str(each.destination)), Reply.OPEN) for each in knocks}
    return list(rules_path.paths(config, replace(found, replies=replies)))


def test_open_doors_are_no_finding() -> None:
    config = site(dr(), dr("Other", 102))
    assert not knocked(config, {})


def test_a_vip_that_is_missing_is_told_by_the_host_that_answers_on_its_own_address() -> None:
    config = site(dr(), dr("Other", 102))
    (finding,) = knocked(config, {(3, "10.60.0.102"): Reply.SILENT})
    assert finding.what.startswith("vna3 does not own VIP 10.60.0.102 (missing on its loopback)")
    assert finding.severity is Severity.ERROR
    assert finding.fix.linux[0].startswith("sysctl -w net.ipv4.conf.all.arp_ignore=1")


def test_a_host_whose_port_is_translated_to_a_container_is_not_taken_for_a_router() -> None:
    """There a hop limit of 1 leads nowhere by any address."""
    config = site(dr())
    passed = {(3, "10.60.0.101"): Reply.PASSED_ON, (3, "10.60.0.13"): Reply.PASSED_ON}
    assert not knocked(config, passed)
    (finding,) = knocked(config, {(3, "10.60.0.101"): Reply.PASSED_ON})
    assert "as a router would" in finding.evidence


def test_a_host_that_hangs_is_not_accused_of_lacking_the_vip() -> None:
    config = site(dr())
    silent = {(3, "10.60.0.101"): Reply.SILENT, (3, "10.60.0.13"): Reply.SILENT}
    (finding,) = knocked(config, silent)
    assert finding.severity is Severity.WARNING
    assert "nor on its own address" in finding.what


def test_a_closed_port_tells_a_dead_application_from_one_that_listens_elsewhere() -> None:
    config = site(dr())
    closed = {(2, "10.60.0.101"): Reply.CLOSED}
    (finding,) = knocked(config, closed)
    assert "nothing listens on 10.60.0.101:11112: its application listens on its own address" in finding.what
    (finding,) = knocked(config, closed | {(2, "10.60.0.12"): Reply.CLOSED})
    assert "does not run" in finding.what


def test_a_firewall_is_known_by_ports_that_are_open_beside_the_shut_ones() -> None:
    config = site(dr(), dr("Other", 101, 104))
    found = looked(config)
    knocks, _ = rules_path.knocks(config, Status(), found)
    replies = {k: Reply.SILENT if (k.destination, k.port) == (VIP, 104) else Reply.OPEN for k in knocks}
    findings = list(rules_path.paths(config, replace(found, replies=replies)))
    assert [f.where for f in findings] == ["vna1", "vna2", "vna3"]
    assert "its firewall keeps 10.60.0.101:104 shut" in findings[0].what


def test_udp_shows_who_owns_the_vip_but_not_who_listens() -> None:
    config = site(dr(protocol=Protocol.UDP))
    assert not knocked(config, {(2, "10.60.0.101"): Reply.CLOSED})
    (finding,) = knocked(config, {(2, "10.60.0.101"): Reply.SILENT})
    assert finding.severity is Severity.WARNING


def test_each_knock_is_made_once() -> None:
    config = site(dr(), dr("Twice", 101))
    knocks, _ = rules_path.knocks(config, Status(), looked(config))
    assert len(knocks) == len(set(knocks)) == 6
    assert all(isinstance(each, Knock) for each in knocks)
