"""The path of direct routing as a check: what is knocked at, and when a server is accused."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from tests.builders import dr, nat, site, web
from tests.unit.doctor.test_rules import LINK, looked, mac
from willis.doctor.rules_direct import Door, beside, doors, fault, through
from willis.doctor.seen import Reply
from willis.model.check import Check
from willis.model.service import Protocol

OPEN, CLOSED, SILENT = Reply.OPEN, Reply.CLOSED, Reply.SILENT
PASSED, FORBIDDEN = Reply.PASSED_ON, Reply.FORBIDDEN


def door(protocol: Protocol = Protocol.TCP) -> Door:
    return next(iter(doors(site(dr(protocol=protocol)))))


def test_each_server_of_direct_routing_is_a_door_and_no_other() -> None:
    found = list(doors(site(dr(), nat(), web())))
    assert [str(each.place) for each in found] == [f"DicomRouting/vna{n}" for n in (1, 2, 3)]
    assert {str(each) for each in found} == {"10.60.0.101:11112"}


@pytest.mark.parametrize(
    ("checked", "ports"),
    [(None, [80, 443]), (443, [443, 80]), (9000, [80, 443])],
)
def test_every_port_that_clients_use_is_a_door_and_first_the_one_that_the_check_looks_at(
    checked: int | None, ports: list[int]
) -> None:
    service = dr(ports=(80, 443), check=Check(port=checked))
    assert [each.port for each in doors(site(service))][:2] == ports


def test_of_a_range_of_ports_only_some_are_knocked_at() -> None:
    service = dr(ports=tuple(range(2000, 3000)), check=Check(port=2500))
    assert {each.port for each in doors(site(service))} == {2500, 2000, 2001, 2002}


def test_a_server_is_knocked_at_by_the_vip_and_by_its_own_address_with_its_mac() -> None:
    config = site(dr())
    first, *_ = asked = list(doors(config))
    seen = looked(config)
    knock = through(config, seen, asked)[first]
    assert (knock.mac, knock.destination, knock.source) == (
        mac(1),
        IPv4Address("10.60.0.101"),
        IPv4Address("10.60.0.2"),
    )
    assert beside(config, seen, asked)[first] == replace(knock, destination=IPv4Address("10.60.0.11"))


def test_nobody_is_knocked_at_whose_mac_is_not_known_or_over_an_interface_that_is_down() -> None:
    config = site(dr())
    asked, seen = list(doors(config)), looked(config)
    owners = {place: macs for place, macs in seen.owners.items() if str(place[1]) != "10.60.0.11"}
    assert len(through(config, replace(seen, owners=owners), asked)) == 2
    for link in (replace(LINK, carrier=False), replace(LINK, mac=b"")):
        assert through(config, replace(seen, links={"eth0": link}), asked) == {}
    assert through(config, replace(seen, links={}), asked) == {}


@pytest.mark.parametrize(
    ("vip", "own", "words"),
    [
        (SILENT, OPEN, "VIP 10.60.0.101 is missing on vna1's loopback, or its firewall is shut"),
        (SILENT, CLOSED, "VIP 10.60.0.101 is missing"),
        (PASSED, OPEN, "as a router would"),
        (CLOSED, OPEN, "nothing listens on 10.60.0.101:11112: vna1's application listens on its own address"),
        (FORBIDDEN, OPEN, "vna1's firewall refuses 10.60.0.101:11112"),
    ],
)
def test_what_is_wrong_is_said_with_the_remedy(vip: Reply, own: Reply, words: str) -> None:
    told = fault(door(), vip, own)
    assert told is not None and words in told and "'willis doctor'" in told


@pytest.mark.parametrize(
    ("vip", "own"),
    [
        (SILENT, SILENT),  # down, hung or a firewall
        (PASSED, PASSED),  # a container
        (CLOSED, CLOSED),  # the application does not run; its ordinary check says so
        (CLOSED, SILENT),
        (FORBIDDEN, FORBIDDEN),
        (SILENT, FORBIDDEN),
    ],
)
def test_only_a_comparison_accuses(vip: Reply, own: Reply) -> None:
    assert fault(door(), vip, own) is None


def test_of_a_udp_service_only_a_router_is_sure() -> None:
    udp = door(Protocol.UDP)
    assert udp.fine == (OPEN, CLOSED)
    assert fault(udp, SILENT, CLOSED) is None
    assert "as a router would" in (fault(udp, PASSED, CLOSED) or "")
