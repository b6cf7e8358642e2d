"""Layer 4 carries real packets: direct routing, the schedulers, IPv6, UDP, fragments, ICMP."""

from __future__ import annotations

import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab.ebpf_net import LAB, NAMES, PORT, SOURCES, VIP, VIP6, Net, echo, site, started, up
from willis.model.persistence import SourcePersistence
from willis.model.service import Protocol, Scheduler

pytestmark = LAB


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    with started(tmp_path_factory.mktemp("net")) as net:
        yield net


def test_server_sees_the_client_and_the_maps_say_what_was_compiled(net: Net) -> None:
    config = site(echo(), echo("Echo6", VIP6), echo("Udp", protocol=Protocol.UDP, ports=(PORT, PORT + 1)))
    net.apply(config)
    talk = net.connect(SOURCES[0])
    assert talk.server in NAMES
    assert talk.seen == SOURCES[0]
    assert talk.say() == talk.server
    assert net.node.call(net.engine.observe) == net.engine.compile(config, up(config))
    talk.close()


@pytest.mark.parametrize(
    ("weights", "shares"), [((100, 100, 100), (20, 20, 20)), ((150, 100, 50), (30, 20, 10))]
)
def test_wlc_is_exact(net: Net, weights: tuple[int, ...], shares: tuple[int, ...]) -> None:
    name = f"Wlc{weights[0]}"
    net.apply(site(echo(name, weights=weights)))
    talks = [net.connect(source) for source in SOURCES[:60]]
    found = Counter(talk.server for talk in talks)
    assert found == dict(zip(NAMES, shares, strict=True))
    assert net.active(name) == found
    for talk in talks:
        talk.close()
    net.until(lambda: not any(net.active(name).values()), "closed connections no longer count")


def test_wlc_is_exact_when_many_connect_at_once(net: Net) -> None:
    """Two CPUs choose at the same time; a member is taken only if its load is still what was compared."""
    net.apply(site(echo("Burst")))
    for _ in range(3):
        wires = net.client.call(_connect_at_once, 150)
        found = net.active("Burst")
        assert sum(found.values()) == 150
        assert found == {"s1": 50, "s2": 50, "s3": 50}
        for wire in wires:
            wire.close()
        net.until(lambda: not any(net.active("Burst").values()), "closed connections no longer count")


def test_wrr_takes_exact_turns(net: Net) -> None:
    net.apply(site(echo("Wrr", scheduler=Scheduler.WRR, weights=(150, 100, 50))))
    for _ in range(3):
        turns = Counter(net.connect(source).server for source in SOURCES[:6])
        assert turns == {"s1": 3, "s2": 2, "s3": 1}


def test_sh_goes_by_the_address_and_mh_by_the_port_too(net: Net) -> None:
    net.apply(site(echo("Sh", scheduler=Scheduler.SH)))
    first = [net.connect(source).server for source in SOURCES]
    assert first == [net.connect(source).server for source in SOURCES]
    assert set(first) == set(NAMES)
    net.apply(site(echo("Mh", scheduler=Scheduler.MH)))
    assert {net.connect(SOURCES[0]).server for _ in range(40)} == set(NAMES)


def test_weight_zero_takes_nothing_new(net: Net) -> None:
    for scheduler in Scheduler:
        net.apply(site(echo("Zero", scheduler=scheduler, weights=(0, 100, 100))))
        assert net.servers_of_new() == {"s2", "s3"}


def test_ipv6(net: Net) -> None:
    net.apply_resolved(site(echo("Only6", VIP6)))
    talks = [net.connect("fd77::10", VIP6) for _ in range(6)]
    assert Counter(talk.server for talk in talks) == {"s1": 2, "s2": 2, "s3": 2}
    assert all(talk.seen == "fd77::10" and talk.say() == talk.server for talk in talks)


@pytest.mark.parametrize(("vip", "source"), [(VIP, SOURCES[0]), (VIP6, "fd77::10")])
def test_datagrams_whole_and_in_fragments(net: Net, vip: str, source: str) -> None:
    name = f"Udp{len(vip)}"
    net.apply_resolved(site(echo(name, vip, protocol=Protocol.UDP)))
    for size in (100, 1400):
        server, seen, length = net.datagram(source, b"x" * size, vip).split()
        assert (server in NAMES, seen, int(length)) == (True, source, size)
    for _ in range(6):  # three and more fragments each, spread over all servers
        assert net.datagram(source, b"x" * 2048 * 2, vip).split()[2] == "4096"
    assert set(net.active(name).values()) <= {2, 3}


def test_one_packet_schedules_each_datagram_by_itself(net: Net) -> None:
    config = site(echo("Ops", protocol=Protocol.UDP, one_packet=True, weights=(150, 100, 50)))
    net.apply(config)
    assert net.node.call(net.engine.observe) == net.engine.compile(config, up(config))
    before = len(list(net.engine._loaded.maps["flows"].items()))
    found = Counter(net.client.call(_answers, SOURCES[0], 60))
    assert found == {"s1": 30, "s2": 20, "s3": 10}
    assert not any(net.active("Ops").values())
    assert len(list(net.engine._loaded.maps["flows"].items())) == before
    counted = net.node.call(net.engine.services)["Ops"]
    assert (counted.connections, counted.closed, counted.packets) == (60, 60, 60)
    assert net.datagram(SOURCES[0], b"x" * 4000).split()[2] == "4000", "fragments stay together"


def test_one_packet_obeys_persistence(net: Net) -> None:
    net.apply(site(echo("Tied", protocol=Protocol.UDP, one_packet=True, persistence=SourcePersistence())))
    servers = [Counter(net.client.call(_answers, source, 10)) for source in SOURCES[:12]]
    assert all(len(each) == 1 for each in servers)
    assert set().union(*servers) == set(NAMES)


def test_a_flow_from_before_ends_when_its_service_becomes_one_packet(net: Net) -> None:
    net.apply(site(echo("Turn", protocol=Protocol.UDP)))
    wire = net.client.call(_bound, SOURCES[0])
    assert len({net.client.call(_ask, wire) for _ in range(6)}) == 1
    net.apply(site(echo("Turn", protocol=Protocol.UDP, one_packet=True)))
    time.sleep(0.1)  # the coarse clock moves on
    net.client.call(_ask, wire)
    assert {net.client.call(_ask, wire) for _ in range(6)} == set(NAMES)
    assert not any(net.active("Turn").values())
    wire.close()


def test_an_icmp_error_reaches_the_server_that_it_is_about(net: Net) -> None:
    net.apply(site(echo("Icmp")))
    talk = net.connect(SOURCES[3])
    space = net.servers[talk.server]
    wire = space.call(socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with wire:
        wire.settimeout(30)
        net.client.call(_send_frag_needed, talk.wire.getsockname())
        packet = b""
        while packet[20:22] != b"\x03\x04":  # destination unreachable, fragmentation needed
            packet = wire.recv(2048)
    assert packet[48:50] == struct.pack("!H", PORT)
    talk.close()


def test_frames_for_another_machine_are_not_ours(net: Net) -> None:
    net.apply(site(echo("Mac")))
    net.node.ip("link set eth0 promisc on")
    try:
        before = net.node.call(net.engine.services)["Mac"]
        net.client.call(_send_syn_to_nobody)
        net.connect(SOURCES[0]).close()
        after = net.node.call(net.engine.services)["Mac"]
    finally:
        net.node.ip("link set eth0 promisc off")
    assert after.connections - before.connections == 1
    assert after.refused == before.refused


def test_counters_count_what_was_sent(net: Net) -> None:
    net.apply(site(echo("Bytes", hosts=("s1",))))
    talk = net.connect(SOURCES[0])
    word = "x" * 50_000  # goes through tc as a super-packet: counted as the frames it stands for
    assert talk.say(word) == "s1"
    sent_again = struct.unpack_from("I", talk.wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 100)[
        0
    ]
    talk.close()
    net.until(lambda: net.active("Bytes") == {"s1": 0}, "the connection has ended")

    def alike() -> bool:
        service = net.node.call(net.engine.services)["Bytes"]
        return net.node.call(net.engine.traffic)["Bytes", "s1"].bytes_in == service.bytes_in

    # The last acknowledgement may pass between the two readings.
    net.until(alike, "service and server counted alike")
    counted = net.node.call(net.engine.services)["Bytes"]
    assert (counted.connections, counted.closed, counted.refused) == (1, 1, 0)
    segments = 50_000 // 1448
    assert 50_000 + 52 * segments <= counted.bytes_in < 50_000 + 52 * (segments + 60) + 1500 * sent_again


def _bound(source: str) -> socket.socket:
    wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wire.settimeout(30)
    wire.bind((source, 0))
    return wire


def _ask(wire: socket.socket) -> str:
    """Sends one datagram; returns the server that answered."""
    wire.sendto(b"x", (VIP, PORT))
    return wire.recv(2048).decode().split()[0]


def _answers(source: str, count: int) -> list[str]:
    """The servers that answered so many datagrams from one port."""
    with _bound(source) as wire:
        return [_ask(wire) for _ in range(count)]


def _connect_at_once(count: int) -> list[socket.socket]:
    def connect(_: int) -> socket.socket:
        wire = socket.socket()
        wires.append(wire)
        wire.connect((VIP, PORT))
        return wire

    wires: list[socket.socket] = []
    with ThreadPoolExecutor(8) as threads:  # threads begin in the namespace of their maker
        list(threads.map(connect, range(count)))
    return wires


def _ipv4(protocol: int, source: str, destination: str, payload: bytes) -> bytes:
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0,
        socket.inet_aton(source), socket.inet_aton(destination),
    )  # fmt: skip
    return header[:10] + _checksum(header) + header[12:] + payload


def _checksum(data: bytes) -> bytes:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF)


def _send_frag_needed(client: tuple[str, int]) -> None:
    """What a router on the way says to the server: the inner packet went from the VIP to the client."""
    inner = _ipv4(6, VIP, client[0], struct.pack("!HHI", PORT, client[1], 1))
    message = struct.pack("!BBHHH", 3, 4, 0, 0, 1400) + inner
    message = message[:2] + _checksum(message) + message[4:]
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as wire:
        wire.sendto(message, (VIP, 0))


def _send_syn_to_nobody() -> None:
    tcp = struct.pack("!HHIIBBHHH", 1234, PORT, 1, 0, 5 << 4, 2, 1000, 0, 0)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("eth0", 0x0800))
        wire.send(b"\x02\x00\x00\x00\x00\x99" + b"\x02" * 6 + b"\x08\x00" + _ipv4(6, SOURCES[9], VIP, tcp))
