"""NAT and SNAT: the program chooses and marks, the stack translates; here with three rules of nftables.

The client's half alone passes the program: a server's answers, which come back through
the node, begin no flow and count for nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from tests.lab.ebpf_net import LAB, NAMES, ROUTED, SOURCES, VIP6, Net, Talk, echo, site, started, up
from willis.engines.ebpf.entries import Attachment
from willis.engines.ebpf.layout import SlotState
from willis.engines.nft import conntrack
from willis.model.config import Config
from willis.model.node import Attach
from willis.model.persistence import SourcePersistence
from willis.model.service import (
    TRANSLATED,
    Forwarding,
    Protocol,
    RealServer,
    Scheduler,
    VirtualService,
)
from willis.model.status import Admin

pytestmark = LAB


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    with started(tmp_path_factory.mktemp("net")) as net:
        yield net


def nat(name: str, **changes: Any) -> VirtualService:
    return echo(name, **{"forwarding": Forwarding.NAT, **changes})


def apply(net: Net, config: Config, admin: dict[str, Admin] | None = None) -> None:
    """Both engines, and the maps hold what was compiled."""
    net.translate(config)
    net.apply(config, up(config, admin))
    assert net.node.call(net.engine.observe) == net.engine.compile(config, up(config, admin))


def connect(net: Net, count: int = 9) -> list[Talk]:
    return [net.connect(source) for source in ROUTED[:count]]


def servers_of_new(net: Net) -> set[str]:
    talks = connect(net)
    for talk in talks:
        talk.close()
    return {talk.server for talk in talks}


@pytest.mark.parametrize("forwarding", TRANSLATED)
def test_wlc_is_exact_and_answers_are_no_clients(net: Net, forwarding: Forwarding) -> None:
    name = f"Wlc-{forwarding}"
    net.node.do("ip", "neighbour", "flush", "all")
    apply(net, site(nat(name, forwarding=forwarding, weights=(150, 100, 50))))
    flows = len(list(net.engine._loaded.maps["flows"].items()))
    talks = connect(net, 60)
    assert Counter(talk.server for talk in talks) == {"s1": 30, "s2": 20, "s3": 10}
    seen = {talk.seen for talk in talks}
    assert seen == ({"10.77.0.2"} if forwarding is Forwarding.SNAT else set(ROUTED[:60]))
    assert talks[0].say("x" * 50_000) == talks[0].server
    assert net.active(name) == {"s1": 30, "s2": 20, "s3": 10}
    assert len(list(net.engine._loaded.maps["flows"].items())) == flows + 60
    counted = net.node.call(net.engine.services)[name]
    assert (counted.connections, counted.refused) == (60, 0)
    assert 50_000 < counted.bytes_in < 100_000, "the answer, as long as the question, is not in it"
    for talk in talks:
        talk.close()
    net.until(lambda: not any(net.active(name).values()), "closed connections no longer count")


def test_no_neighbour_is_kept_for_a_member_with_a_mark(net: Net) -> None:
    apply(net, site(nat("Stack"), echo("Direct", VIP6)))
    net.refresh()
    managed = [line for line in net.node.do("ip", "neighbour").splitlines() if "managed" in line]
    assert managed
    assert all(line.startswith("fd77::1") for line in managed)
    assert servers_of_new(net) == set(NAMES)


@pytest.mark.parametrize("scheduler", list(Scheduler))
def test_drained_removed_and_back(net: Net, scheduler: Scheduler) -> None:
    service = nat(f"Drain-{scheduler}", scheduler=scheduler)
    apply(net, site(service))
    talks = {talk.server: talk for talk in connect(net, 30)}
    apply(net, site(service), {"s1": Admin.DRAIN})
    assert "s1" not in servers_of_new(net)
    apply(net, site(nat(service.name, scheduler=scheduler, hosts=("s2", "s3"))))
    net.refresh()
    assert "s1" not in servers_of_new(net)
    assert talks["s1"].say() == "s1"
    apply(net, site(service))
    assert servers_of_new(net) <= set(NAMES)
    assert all(talk.say() == talk.server for talk in talks.values())


def test_a_halted_member_carries_nothing_and_its_clients_learn_at_once(net: Net) -> None:
    config = site(nat("Halt"))
    apply(net, config)
    talks = {talk.server: talk for talk in connect(net, 3)}
    apply(net, config, {"s2": Admin.HALT})
    [halted] = [slot for slot in net.slots() if slot.host == "s2" and slot.state is SlotState.DOWN]
    net.node.call(conntrack.forget, [halted.mark])  # as the nft engine does
    with pytest.raises((ConnectionError, ValueError)):
        talks["s2"].say()  # its next packet goes to another server, which resets it
    assert talks["s1"].say() == "s1"
    assert servers_of_new(net) == {"s1", "s3"}
    net.until(lambda: net.active("Halt")["s2"] == 0, "the halted member counts nothing")
    apply(net, config)
    assert servers_of_new(net) == set(NAMES)


def test_the_fallback_server_and_persistence(net: Net) -> None:
    spare = RealServer("s3", ip_address("10.77.0.13"))
    config = site(nat("Fall", hosts=("s1", "s2"), fallback=spare, persistence=SourcePersistence(300)))
    apply(net, config)
    assert {net.connect(ROUTED[0]).server for _ in range(6)} == {net.connect(ROUTED[0]).server}
    apply(net, config, {"s1": Admin.DRAIN, "s2": Admin.HALT})
    assert servers_of_new(net) == {"s3"}


def test_datagrams(net: Net) -> None:
    apply(net, site(nat("Udp", protocol=Protocol.UDP)))
    for size in (100, 4000):
        for source in ROUTED[:6]:
            server, seen, length = net.datagram(source, b"x" * size).split()
            assert (server in NAMES, seen, int(length)) == (True, source, size)
    assert set(net.active("Udp").values()) == {4}


def test_connections_outlive_a_change_of_forwarding(net: Net) -> None:
    apply(net, site(echo("Change")))
    direct = [net.connect(source) for source in SOURCES[:6]]
    apply(net, site(nat("Change")))
    translated = connect(net, 6)
    assert net.active("Change") == dict.fromkeys(NAMES, 4)
    apply(net, site(echo("Change")))
    assert all(talk.say() == talk.server for talk in (*direct, *translated))
    again = [net.connect(source) for source in SOURCES[:6]]
    assert {talk.server for talk in again} == set(NAMES)


def test_xdp_leaves_translated_services_to_tc(net: Net) -> None:
    for space in (net.client, net.node, *net.servers.values()):
        space.do("ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gso", "off")
    for port in ("lb", "cl", *NAMES):
        net.bridge.do("ethtool", "-K", port, "gro", "on", "tx", "off")
    config = site(nat("Nat"), nat("Udp", protocol=Protocol.UDP), echo("Dr", ports=(104,)), attach=Attach.XDP)
    apply(net, config)
    held = net.node.call(net.engine.observe)
    assert held["attach/eth0"] == Attachment((Attach.TCX, Attach.XDP))
    talks = connect(net, 30)
    assert Counter(talk.server for talk in talks) == {"s1": 10, "s2": 10, "s3": 10}
    assert talks[0].say("x" * 20_000) == talks[0].server
    counted = net.node.call(net.engine.services)["Nat"]
    assert counted.connections == 30
    assert net.datagram(ROUTED[0], b"x" * 4000).split()[2] == "4000"
    only_dr = site(echo("Nat"), attach=Attach.XDP)
    apply(net, only_dr)
    assert net.node.call(net.engine.observe)["attach/eth0"] == Attachment((Attach.XDP,))
    assert talks[0].say() == talks[0].server, "conntrack carries on"
