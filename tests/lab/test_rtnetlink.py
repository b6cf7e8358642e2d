"""What is read from the kernel by hand, beside what ``ip`` says of the same namespace."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from tests.lab.ebpf_net import Namespace
from tests.lab.nat_net import LAB
from willis.engines import rtnetlink

pytestmark = LAB

TABLE = 1990


@pytest.fixture(scope="module")
def space() -> Iterator[Namespace]:
    space = Namespace(f"rtnl-{os.getpid()}")
    try:
        space.ip(
            "link add name va type veth peer name vb",
            "link set va up",
            "link set vb up",
            "address add 10.7.0.1/24 dev va",
            "address add 10.7.0.9/32 dev va",
            "address add 10.8.0.1 peer 10.8.0.2/32 dev vb",
            "address add fd07::1/64 dev va nodad",
            "route add default via 10.7.0.254 metric 50",
            "route add 10.9.0.1/32 dev va proto 119 quickack 1",
            "route add unreachable 10.66.0.0/16",
            f"route add local 0.0.0.0/0 dev lo table {TABLE}",
            "route add ::/0 via fd07::fe metric 77",
            f"route add local ::/0 dev lo table {TABLE}",
        )
        yield space
    finally:
        space.close()


def test_addresses(space: Namespace) -> None:
    told = json.loads(space.do("ip", "-json", "address"))
    wanted = {(each["ifindex"], one["local"]) for each in told for one in each["addr_info"]}
    found = space.call(rtnetlink.addresses)
    assert {(each.index, str(each.address)) for each in found} == wanted
    assert {str(each.address) for each in found} >= {"127.0.0.1", "10.7.0.9", "10.8.0.1", "fd07::1"}


def test_routes(space: Namespace) -> None:
    links = {link.index: name for name, link in space.call(rtnetlink.links).items()}
    found = {
        (
            str(each.destination),
            each.table,
            each.kind,
            links.get(each.interface or 0),
            str(each.gateway),
            each.metric,
        )
        for each in space.call(rtnetlink.routes)
    }
    unicast, local, unreachable = 1, 2, 7
    assert found >= {
        ("0.0.0.0/0", 254, unicast, "va", "10.7.0.254", 50),
        ("10.7.0.0/24", 254, unicast, "va", "None", 0),
        ("10.9.0.1/32", 254, unicast, "va", "None", 0),
        ("10.66.0.0/16", 254, unreachable, None, "None", 0),
        ("0.0.0.0/0", TABLE, local, "lo", "None", 0),
        ("::/0", 254, unicast, "va", "fd07::fe", 77),
        ("::/0", TABLE, local, "lo", "None", 1024),
    }
    assert [
        each.protocol for each in space.call(rtnetlink.routes) if str(each.destination) == "10.9.0.1/32"
    ] == [119]
    count = sum(
        len(json.loads(space.do("ip", "-json", f"-{family}", "route", "show", "table", str(table))))
        for family in (4, 6)
        for table in (254, TABLE)
    )
    assert len(found) == count
