"""Translation on real packets: NAT and SNAT, both families and protocols, and changes under load."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.builders import sites, statuses
from tests.lab.nat_net import (
    CLIENT,
    CLIENT6,
    LAB,
    NAMES,
    NODE,
    NODE6,
    OTHER,
    PORT,
    ROUTED,
    VIP,
    VIP6,
    Load,
    NatNet,
    nat,
    site,
    snat,
    started,
    udp,
    up,
)
from willis.engines.nft.driver import NftEngine
from willis.model.config import Config
from willis.model.service import RealServer, Timeouts, VirtualService

ADMIN = """
table inet administrator {
    set trusted { type ipv4_addr; elements = { 192.0.2.1 } }
    chain mine { type nat hook prerouting priority dstnat - 5; policy accept; ip saddr @trusted accept; }
}
"""

pytestmark = LAB


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatNet]:
    with started(tmp_path_factory.mktemp("nat")) as net:
        yield net


@pytest.fixture(autouse=True)
def _clean(net: NatNet) -> Iterator[None]:
    yield
    net.serve(site())


@pytest.mark.parametrize("vip", [VIP, VIP6])
@pytest.mark.parametrize("port", [None, OTHER])
def test_nat_shows_the_client_and_translates_the_port(net: NatNet, vip: str, port: int | None) -> None:
    net.serve(site(nat(vip=vip, port=port)))
    talks = [net.connect(vip) for _ in range(12)]
    assert {talk.seen for talk in talks} == {CLIENT6 if ":" in vip else CLIENT}
    assert {talk.server for talk in talks} == {"s1", "s2"}
    assert [talk.say() for talk in talks] == [talk.server for talk in talks]
    for talk in talks:
        talk.close()


@pytest.mark.parametrize("vip", [VIP, VIP6])
@pytest.mark.parametrize("port", [None, OTHER])
def test_snat_shows_the_node(net: NatNet, vip: str, port: int | None) -> None:
    net.serve(site(snat(vip=vip, port=port)))
    talk = net.connect(vip)
    assert talk.seen == (NODE6 if ":" in vip else NODE)
    assert talk.say() == talk.server
    talk.close()


def test_snat_shows_a_chosen_source_and_the_route_s_where_the_server_is_far(net: NatNet) -> None:
    net.node.ip("address add 10.78.2.77/32 dev eth1")
    net.serve(site(snat(source=ip_address("10.78.2.77"))))
    assert net.connect().seen == "10.78.2.77"
    net.serve(site(snat(address=ROUTED)))
    assert net.connect().seen == NODE


@pytest.mark.parametrize("vip", [VIP, VIP6])
@pytest.mark.parametrize("make", [nat, snat])
def test_datagrams(net: NatNet, vip: str, make: Callable[..., VirtualService]) -> None:
    net.serve(site(udp(make(vip=vip, port=OTHER))))
    answers = [net.datagram(vip).split() for _ in range(32)]
    sees_client = make is nat
    client, node = (CLIENT6, NODE6) if ":" in vip else (CLIENT, NODE)
    assert {seen for _, seen, _ in answers} == {client if sees_client else node}
    assert {server for server, _, _ in answers} == {"s1", "s2"}


def test_twice_is_once_and_there_and_back_restores(net: NatNet) -> None:
    first = site(nat(port=OTHER), snat("Snat6", vip=VIP6), udp(nat("Udp")))
    second = site(snat("Snat6", vip=VIP6, timeouts=Timeouts(60, 20, 10)))
    net.apply(first)
    before = net.observe()
    assert before == net.nft.compile(first, up(first))
    assert net.apply(first) == 0
    assert net.apply(second) > 0
    assert net.observe() == net.nft.compile(second, up(second))
    net.apply(first)
    assert net.observe() == before
    again: Any = NftEngine()
    assert net.node.call(again.observe) == before
    net.apply(site())
    assert net.observe() == {}
    assert "willis" not in net.node.do("nft", "list", "tables")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_site_after_any_other(net: NatNet, data: st.DataObject) -> None:
    for _ in range(3):
        config = data.draw(sites())
        status = data.draw(statuses(config))
        net.apply(config, status)
        assert net.observe() == net.nft.compile(config, status)


@pytest.mark.parametrize(
    "damage",
    [
        "delete table inet willis",
        "flush map inet willis address4",
        "flush set inet willis replies",
        "flush chain inet willis to_server",
        "insert rule inet willis to_server drop",
        "add chain inet willis replied { policy drop; }",
        "flush chain inet willis tcp-14400-120",
        "add element inet willis routed { 0x57000001 }",
        "add element inet willis down { 0x57000001 }",
        "flush map inet willis timing; flush chain inet willis tcp-14400-120; "
        "delete chain inet willis tcp-14400-120; delete ct timeout inet willis tcp-14400-120",
    ],
)
def test_what_somebody_breaks_is_mended(net: NatNet, damage: str) -> None:
    config = site(nat(), snat("Snat6", vip=VIP6))
    net.serve(config)
    whole = net.observe()
    net.node.do("nft", damage)
    assert net.observe() != whole
    net.apply(config)
    assert net.observe() == whole
    assert net.connect().say() in NAMES


def test_the_administrator_s_own_tables_stay(net: NatNet) -> None:
    net.node.do("nft", "-f", "-", text=ADMIN)
    try:
        before = net.node.do("nft", "list", "table", "inet", "administrator")
        net.serve(site(nat()))
        net.serve(site(snat()))
        net.connect().close()
        net.serve(site())
        assert net.node.do("nft", "list", "table", "inet", "administrator") == before
    finally:
        net.node.do("nft", "delete", "table", "inet", "administrator")


def test_a_connection_outlives_its_translation(net: NatNet) -> None:
    both = site(snat())
    net.serve(both)
    talks = [net.connect() for _ in range(12)]
    only = site(replace(snat(), pool=both.services[0].pool[:1]))
    net.apply(only)
    net.mark(only)
    assert {talk.server for talk in talks} == {"s1", "s2"}
    assert [talk.say() for talk in talks] == [talk.server for talk in talks]
    assert {net.connect().server for _ in range(8)} == {"s1"}


def test_a_mark_without_a_translation_waits_instead_of_being_refused(net: NatNet) -> None:
    config = site(nat())
    net.serve(config)
    net.apply(site(nat("Another", vip=VIP6)))
    waiting = threading.Timer(0.3, net.apply, [config])
    waiting.start()
    assert net.connect().say() in NAMES
    waiting.join()


def test_a_server_that_is_down_is_forgotten(net: NatNet) -> None:
    """A client that sends datagrams from one port again and again would else meet a dead server for ever."""
    config = site(udp(snat(vip=VIP6)))
    net.serve(config)
    with net.sender(socket.AF_INET6) as wire:
        server = net.datagram(VIP6, wire).split()[0]
        alive = site(replace(config.services[0], pool=_others(config, server)))
        net.mark(alive)
        assert net.datagram(VIP6, wire).split()[0] == server
        net.apply(config, up(config, server))
        assert net.datagram(VIP6, wire).split()[0] != server


def test_silent_connections_are_remembered_as_long_as_the_service_says(net: NatNet) -> None:
    net.serve(site(nat(timeouts=Timeouts(7200, 40, 30)), udp(nat("Udp", timeouts=Timeouts(1, 1, 900)))))
    talk = net.connect()
    assert 7100 < net.seconds_left("tcp", talk.wire.getsockname()[1]) <= 7200
    with net.sender(socket.AF_INET) as wire:
        net.datagram(sender=wire)
        assert 800 < net.seconds_left("udp", wire.getsockname()[1]) <= 900
    talk.close()


def test_bytes_to_clients_are_counted(net: NatNet) -> None:
    config = site(nat(vip=VIP6))
    net.serve(config)
    talk = net.connect(VIP6)
    talk.say("x" * 4000)
    net.apply(config)
    traffic = net.nft.traffic()
    counted = {host: t.bytes_out for (service, host), t in traffic.items() if service == "Nat"}
    assert 4000 < counted[talk.server] < 10_000
    assert sum(counted.values()) == counted[talk.server]
    assert all((t.active, t.total, t.bytes_in) == (0, 0, 0) for t in traffic.values())


def test_500_changes_under_load_break_nothing(net: NatNet) -> None:
    both = site(snat("Load", port=OTHER))
    one = site(replace(both.services[0], pool=both.services[0].pool[:1]))
    hidden = site(replace(both.services[0], timeouts=Timeouts(900, 60, 60)), nat("More", vip=VIP6))
    net.serve(both)
    with Load(net) as load:
        for number in range(500):
            config = (both, one, hidden)[number % 3]
            net.mark(one)  # as the layer-4 program: nobody is chosen before its translation stands
            net.apply(config)
            net.mark(config)
    print(f"500 changes: {load.short} short conversations, {load.long} long ones")
    assert load.failures == []
    assert load.long == 20
    assert load.short > 100


def test_kill_9_in_the_middle_of_an_apply(net: NatNet) -> None:
    """nft dies with whoever called it: the transaction was made, or it was not."""
    first, second = site(snat("Load")), site(snat("Load", port=OTHER))
    wholes = [dict(net.nft.compile(each, up(each))) for each in (first, second)]
    net.serve(first)
    with Load(net) as load:
        for number in range(24):
            config = (second, first)[number % 2]
            net.kill_amid_apply(config, number / 500)
            assert net.observe() in wholes
            net.apply(config)
            assert net.apply(config) == 0
            net.mark(config)
    assert (load.long, load.failures) == (20, [])


def test_ports_that_run_out_are_counted_and_told(net: NatNet) -> None:
    """Two clients open every port they have towards one server behind one source."""
    ports = range(1024, 65_536)
    room = int(Path("/proc/sys/net/netfilter/nf_conntrack_max").read_text())
    if room < 3 * len(ports):
        pytest.skip(f"connection tracking has room for {room} here: too few to run out of ports")
    net.client.ip("address add 10.78.1.11/24 dev eth0")
    service = udp(snat(timeouts=Timeouts(datagram_s=600)))
    net.serve(site(replace(service, pool=service.pool[:1])))
    assert net.alarms() == ()
    net.client.call(_flood, CLIENT, ports)
    assert net.alarms() == ()
    net.client.call(_flood, "10.78.1.11", ports[:1000])
    (told,) = net.alarms()
    assert "new connections were dropped because no free source port" in told


def _flood(source: str, ports: range) -> None:
    for port in ports:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire, suppress(OSError):
            wire.bind((source, port))
            wire.sendto(b"study", (VIP, PORT))


def _others(config: Config, host: str) -> tuple[RealServer, ...]:
    return tuple(server for server in config.services[0].pool if server.host != host)
