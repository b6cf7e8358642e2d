"""A flood of SYNs steers nobody: honest connections are spread as ever, live ones keep their server."""

from __future__ import annotations

import socket
import struct
from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from tests.lab.drill import wait_until
from tests.lab.ebpf_net import LAB, NAMES, PORT, SOURCES, VIP, Net, echo, site, started
from willis.engines.ebpf import layout
from willis.model.persistence import SourcePersistence

pytestmark = LAB

FORGED = IPv4Address("100.64.0.1")
"""No server has a route to it, so nothing answers."""
FLOOD = 20_000


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    with started(tmp_path_factory.mktemp("net")) as net:
        yield net


def half_open(net: Net) -> dict[str, int]:
    loads = net.engine._loaded.maps["loads"].leading(layout.MEMBERS)
    return {slot.host: layout.LOAD.unpack(loads[slot.number])[2] for slot in net.slots() if not slot.leaving}


def test_a_flood_tied_to_one_member_moves_no_other_connection(net: Net) -> None:
    net.apply(site(echo("Tied", persistence=SourcePersistence())))
    live = [net.connect(source) for source in SOURCES[57:60]]
    flooded(net, 1)
    assert sorted(half_open(net).values()) == [0, 0, FLOOD], "one member has all of it"
    wait_until(lambda: sum(net.active("Tied").values()) == 3, "the flood's own connection has ended")
    talks = [net.connect(source) for source in SOURCES[:57]]
    assert Counter(talk.server for talk in (*live, *talks)) == dict.fromkeys(NAMES, 20)
    assert all(talk.say() == talk.server for talk in live)
    assert net.active("Tied") == dict.fromkeys(NAMES, 20)
    net.until(lambda: half_open(net) == dict.fromkeys(NAMES, 0), "what nobody follows up is doubted")
    assert net.active("Tied") == dict.fromkeys(NAMES, 20)
    assert all(talk.say() == talk.server for talk in (*live, *talks))


def test_a_flood_from_everywhere_leaves_the_weights_exact(net: Net) -> None:
    net.apply(site(echo("Wide", weights=(150, 100, 50))))
    flooded(net, FLOOD)
    assert sum(half_open(net).values()) == FLOOD
    wait_until(lambda: not any(net.active("Wide").values()), "the flood's own connection has ended")
    talks = [net.connect(source) for source in SOURCES[:60]]
    assert Counter(talk.server for talk in talks) == {"s1": 30, "s2": 20, "s3": 10}


def test_a_full_table_forgets_the_flood_and_not_the_living(net: Net) -> None:
    """The kernel's LRU first drops what was never found again: forged SYNs, however many."""
    net.apply(site(echo("Full")))
    talks = [net.connect(source) for source in SOURCES[:60]]
    count = layout.FLOWS + layout.FLOWS // 4
    net.client.call(flood, count, count)
    net.until(lambda: any("flow table" in alarm for alarm in net.node.call(net.engine.alarms)), "it is told")
    assert all(talk.say() == talk.server for talk in talks)
    assert net.active("Full") == dict.fromkeys(NAMES, 20)
    net.sweep(syn=0)
    net.until(lambda: not net.node.call(net.engine.alarms), "the flood has timed out")


def flooded(net: Net, sources: int) -> None:
    """Send the flood again until all of it has arrived: a kernel that is busy drops packets."""
    for _ in range(5):
        net.client.call(flood, FLOOD, sources)
        if sum(half_open(net).values()) >= FLOOD:
            return


def flood(count: int, sources: int) -> None:
    """So many SYNs from so many forged addresses; one address has no two from one port."""
    neighbour = socket.create_connection((VIP, PORT), 30)  # so that the VIP's MAC is known
    neighbour.close()
    header = struct.pack("!BBHHHBBH", 0x45, 0, 40, 1, 0, 64, socket.IPPROTO_TCP, 0)
    to = socket.inet_aton(VIP)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as wire:
        for i in range(count):
            source = (FORGED + i % sources).packed
            syn = struct.pack("!HHIIBBHHH", 1024 + i % 60_000, PORT, 1, 0, 5 << 4, 2, 1000, 0, 0)
            wire.sendto(header + source + to + syn, (VIP, 0))
