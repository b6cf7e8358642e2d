"""A document in other topologies: what moves, what stays, and that it is as sound as before."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface
from pathlib import Path

import pytest

from tests.unit.lab.samples import DOCUMENT, config
from willis import templates
from willis.config import load, write
from willis.lab import draw
from willis.lab.errors import LabError
from willis.lab.source import in_topology
from willis.lab.topology import Topology, arranged

ALL_MODES = (Path(__file__).parents[3] / "examples" / "all-modes.yaml").read_text()
ROUTABLE = DOCUMENT.replace("forwarding: dr", "forwarding: nat")


def test_one_arm_is_the_document_as_it_is() -> None:
    assert arranged(config(), Topology.ONE_ARM) == config()


def test_two_arms_have_the_vips_in_front_and_the_hosts_behind() -> None:
    before, after = config(), arranged(config(), Topology.TWO_ARM)
    assert [(i.name, i.addresses) for i in after.interfaces] == [
        ("eth0", (ip_interface("10.60.0.2/24"),)),
        ("eth1", (ip_interface("10.60.1.2/24"),)),
    ]
    assert [str(s.vip) for s in after.services] == [f"10.60.1.10{n}" for n in range(1, 8)]
    assert after.hosts == before.hosts
    assert [s.pool for s in after.services] == [s.pool for s in before.services]


def test_a_source_moves_with_the_vip_that_it_is_and_stays_with_the_node() -> None:
    text = DOCUMENT.replace(
        "application: hl7\n    forwarding: dr", "forwarding: snat\n    source: 10.60.0.105"
    )
    moved = arranged(config(text), Topology.TWO_ARM).service("Live")
    assert moved is not None and moved.source == ip_address("10.60.1.105")
    stays = arranged(config(text.replace("source: 10.60.0.105", "source: 10.60.0.2")), Topology.TWO_ARM)
    assert [s.source for s in stays.services if s.source] == [ip_address("10.60.0.2")]


def test_routed_hosts_are_in_no_subnet_of_the_node() -> None:
    after = arranged(config(ROUTABLE), Topology.ROUTED)
    assert [str(host.address) for host in after.hosts] == ["10.60.1.11", "10.60.1.12", "10.77.0.5"]
    assert after.interfaces == config().interfaces
    assert all(after.interface_to(server.address) is None for s in after.services for server in s.pool)


def test_dr_cannot_be_routed() -> None:
    with pytest.raises(LabError, match="DR needs the node in the servers' subnet, so Routing, Internal, "):
        arranged(config(), Topology.ROUTED)


def test_the_new_subnet_is_one_that_nobody_has() -> None:
    crowded = DOCUMENT.replace("far: 10.77.0.5", "far: 10.60.1.5")
    after = arranged(config(crowded), Topology.TWO_ARM)
    assert str(after.services[0].vip) == "10.60.2.101"
    with pytest.raises(LabError, match="no free subnet beside 223.255.255.0/24"):
        arranged(config(DOCUMENT.replace("10.60.0.", "223.255.255.")), Topology.TWO_ARM)


def test_a_document_with_two_interfaces_has_a_topology_of_its_own() -> None:
    two = arranged(config(), Topology.TWO_ARM)
    with pytest.raises(LabError, match="this one has 2"):
        arranged(two, Topology.ONE_ARM)


TEXTS = [ALL_MODES, ALL_MODES.replace("forwarding: dr", "forwarding: nat"), templates.render("canon", {})]


@pytest.mark.parametrize(
    ("text", "topology"),
    [
        (text, topology)
        for text in TEXTS
        for topology in Topology
        if topology is not Topology.ROUTED or "forwarding: dr" not in text
    ],
)
def test_it_stays_sound_and_a_twin_can_be_drawn(text: str, topology: Topology) -> None:
    after = arranged(config(text), topology)
    loaded = load(write(after))
    assert loaded.config == after, loaded.problems
    assert draw.full(after).servers


def test_ipv6_moves_too() -> None:
    text = DOCUMENT.replace("[10.60.0.2/24]", "['2001:db8:60::2/64', 10.60.0.2/24]")
    text = text.replace("vip: 10.60.0.104", "vip: '2001:db8:60::104'").replace(
        "far: 10.77.0.5", "far: '2001:db8:60::5'"
    )
    text = text.replace(
        "2398\n    application: hl7\n    forwarding: dr\n    pool: [vna1, vna2]",
        "1\n    forwarding: snat\n    pool: [far]",
    )
    after = arranged(config(text.replace(", {host: far, port: 9237}", "")), Topology.TWO_ARM)
    live = after.service("Live")
    assert live is not None and live.vip == ip_address("2001:db8:60:1::104")
    assert [str(own) for own in after.interfaces[1].addresses] == ["2001:db8:60:1::2/64", "10.60.1.2/24"]


def test_an_unknown_topology_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(LabError, match="three-arm is not known; there is: one-arm, two-arm, routed"):
        in_topology(DOCUMENT, "three-arm")
