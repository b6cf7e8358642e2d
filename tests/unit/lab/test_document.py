"""What the twin changes in a document: more or fewer hosts, and the move to loopback."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_address, ip_interface

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.lab.samples import DOCUMENT
from willis.config import load
from willis.lab.errors import LabError
from willis.lab.loopback import moved, udp_services
from willis.lab.scale import scaled

TREE = yaml.safe_load(DOCUMENT.replace("  far: 10.77.0.5\n", "").replace(", {host: far, port: 9237}", ""))


def sound(tree: dict[str, object]) -> None:
    loaded = load(yaml.safe_dump(tree, sort_keys=False))
    assert loaded.config is not None, loaded.problems


def test_more_hosts_join_every_pool_of_the_last_one() -> None:
    grown = scaled(TREE, 4)
    assert list(grown["hosts"].items())[2:] == [("vna3", "10.60.0.13"), ("vna4", "10.60.0.14")]
    assert grown["services"]["Routing"]["pool"] == ["vna1", "vna2", "vna3", "vna4"]
    assert grown["services"]["Clock"]["pool"] == ["vna1"]
    sound(grown)


def test_new_addresses_avoid_those_that_the_document_gives_to_others() -> None:
    crowded = {**TREE, "hosts": {"vna1": "10.60.0.11", "vna2": "10.60.0.100"}}
    assert scaled(crowded, 3)["hosts"]["vna3"] == "10.60.0.108"


def test_fewer_hosts_leave_pools_and_fallbacks() -> None:
    small = scaled(TREE, 1)
    assert small["services"]["Routing"]["pool"] == ["vna1"]
    assert "fallback" not in small["services"]["Worklist"]
    sound(small)


def test_a_pool_is_never_emptied() -> None:
    only_second = {**TREE, "services": {"S": {**TREE["services"]["Live"], "pool": ["vna2"]}}}
    with pytest.raises(LabError, match="no server left"):
        scaled(only_second, 1)


def test_a_full_subnet_is_said_so() -> None:
    last = {**TREE, "hosts": {"vna1": "10.60.0.11", "vna2": "10.60.0.253"}}
    with pytest.raises(LabError, match="no free address"):
        scaled(last, 3)


def test_a_moved_document_loads_and_lies_within_one_loopback_network() -> None:
    tree = moved(TREE, 97)
    sound(tree)
    inside = IPv4Network("127.97.0.0/16")
    assert list(tree["interfaces"]) == ["lo"]
    assert all(ip_address(address) in inside for address in tree["hosts"].values())
    assert all(ip_address(body["vip"]) in inside for body in tree["services"].values())


def test_addresses_keep_their_last_numbers_where_they_can() -> None:
    assert moved(TREE, 97)["services"]["Routing"]["vip"] == "127.97.0.101"


def test_on_loopback_no_snat_source_is_left() -> None:
    snat = {**TREE["services"]["Live"], "forwarding": "snat", "source": "10.60.0.2", "pool": ["vna1"]}
    tree = moved({**TREE, "services": {"S": snat, "T": {**TREE["services"]["Mint"], "pool": ["vna2"]}}}, 97)
    sound(tree)
    assert "source" not in tree["services"]["S"]


def test_udp_services_are_left_out_since_haproxy_cannot_carry_them() -> None:
    assert udp_services(TREE) == ["Clock"]
    assert "Clock" not in moved(TREE, 97)["services"]
    only = {**TREE, "services": {"Clock": TREE["services"]["Clock"]}}
    with pytest.raises(LabError, match="All services are UDP"):
        moved(only, 97)


def test_the_original_is_left_alone() -> None:
    before = yaml.safe_dump(TREE)
    moved(TREE, 97)
    scaled(TREE, 5)
    assert yaml.safe_dump(TREE) == before


def test_an_ipv6_mask_becomes_one_client() -> None:
    tree = {**TREE, "services": {"S": {**TREE["services"]["Routing"], "persistence": {"mask": 64}}}}
    assert moved(tree, 97)["services"]["S"]["persistence"] == {"mask": 32}


@given(st.lists(st.ip_addresses(), min_size=2, max_size=40, unique=True), st.integers(16, 250))
def test_no_two_addresses_meet_on_loopback(addresses: list[object], site: int) -> None:
    first, *hosts = addresses
    width = 32 if ip_address(str(first)).version == 4 else 128
    tree = {
        "interfaces": {"eth0": {"addresses": [f"{first}/{width}"]}},
        "hosts": {f"h{number}": str(address) for number, address in enumerate(hosts)},
        "services": {},
    }
    result = moved(tree, site)
    own = ip_interface(result["interfaces"]["lo"]["addresses"][0]).ip
    found = [ip_address(address) for address in result["hosts"].values()] + [own]
    assert len(set(found)) == len(addresses)
