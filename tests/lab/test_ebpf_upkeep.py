"""Upkeep: MACs that come late or change, flows that end in silence, counts that drifted."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.lab.ebpf_net import LAB, NAMES, SOURCES, VIP, VIP6, Net, echo, site, started
from willis.engines.ebpf import layout
from willis.engines.ebpf.layout import INDEX
from willis.model.service import Protocol, Timeouts

pytestmark = LAB


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    with started(tmp_path_factory.mktemp("net")) as net:
        yield net


def test_a_server_that_cannot_be_reached_yet_gets_nothing_until_it_can(net: Net) -> None:
    net.bridge.ip("link set s2 down")
    try:
        net.node.ip("neighbour flush all")
        net.apply(site(echo("Late")))
        reachable = {"s1", "s3"}
        net.until(
            lambda: {s.host for s in net.slots() if s.ifindex and any(s.mac)} >= reachable, "two are found"
        )
        assert net.servers_of_new() == reachable
    finally:
        net.bridge.ip("link set s2 up")
    net.until(lambda: net.connect(SOURCES[0]).server == "s2", "s2 takes connections")


def test_a_changed_mac_is_followed(net: Net) -> None:
    net.apply(site(echo("Mac", hosts=("s1",))))
    assert net.connect(SOURCES[0]).server == "s1"
    space = net.servers["s1"]
    space.ip("link set eth0 address 02:00:00:00:11:11")
    space.do("ping", "-c", "1", "-w", "30", "10.77.0.2")  # whatever it sends tells the node
    net.until(
        lambda: any(s.mac.hex() == "020000001111" for s in net.slots()), "the node knows the new MAC", 60
    )
    assert net.connect(SOURCES[0]).server == "s1"


def test_our_own_changed_mac_is_followed(net: Net) -> None:
    net.apply(site(echo("Own")))
    net.node.ip("link set eth0 address 02:00:00:00:22:22")
    net.client.ip("neighbour flush dev eth0")
    # The kernel forgets its neighbours with the old address; until they answer, nobody can be reached.
    net.until(
        lambda: all(s.source_mac.hex() == "020000002222" and any(s.mac) for s in net.slots()),
        "frames carry our MAC, and the servers are found again",
    )
    assert net.connect(SOURCES[0]).say()


def test_silent_flows_end_by_their_states_timeouts(net: Net) -> None:
    net.apply(site(echo("Silent")))
    talks = [net.connect(source) for source in SOURCES[:6]]
    assert net.active("Silent") == dict.fromkeys(NAMES, 2)
    time.sleep(0.05)
    net.sweep(syn=0, closing=0, datagram=0)
    assert net.active("Silent") == dict.fromkeys(NAMES, 2), (
        "an idle association outlives every other time-out"
    )
    net.sweep(established=0)
    assert net.active("Silent") == dict.fromkeys(NAMES, 0)
    for talk in talks:
        talk.close()


def test_a_flow_that_was_just_touched_is_not_taken_for_an_old_one(net: Net) -> None:
    net.apply(site(echo("Touch")))
    talk = net.connect(SOURCES[0])
    flows = net.engine._loaded.maps["flows"]
    mine = [
        (key, layout.FLOW.unpack(value))
        for key, value in flows.items()
        if layout.FLOW_KEY.unpack(key)[2] == talk.wire.getsockname()[1].to_bytes(2)
    ]
    [(key, (last, *rest))] = mine
    flows.update(key, layout.FLOW.pack(last + 10**12, *rest))  # as if touched after the sweep began
    net.sweep(10**10, 10**10, 10**10, 10**10)
    assert flows.lookup(key) is not None
    assert talk.say()


def test_the_oldest_flow_of_each_server_is_known(net: Net) -> None:
    net.apply(site(echo("Old")))

    def lasting() -> dict[str, float]:
        return {host: s for (name, host), s in net.node.call(net.engine.longest).items() if name == "Old"}

    assert lasting() == {}
    old = net.connect(SOURCES[0])
    time.sleep(1.2)
    young = net.connect(SOURCES[1])
    net.sweep(10**10, 10**10, 10**10, 10**10)
    assert lasting().keys() == {old.server, young.server}
    found = lasting()
    assert found[young.server] >= 0
    assert found[old.server] - found[young.server] > 1.1 or old.server == young.server
    old.close()
    net.until(lambda: old.server not in lasting() or old.server == young.server, "it has ended")
    young.close()
    net.until(lambda: lasting() == {}, "both have ended")


def test_a_count_that_drifted_is_put_right(net: Net) -> None:
    net.apply(site(echo("Drift")))
    talks = [net.connect(source) for source in SOURCES[:6]]
    loads = net.engine._loaded.maps["loads"]
    for slot in net.slots():
        loads.update(INDEX.pack(slot.number), layout.LOAD.pack(99, 0, 77))  # what evicted flows leave behind
    net.until(lambda: net.active("Drift") == dict.fromkeys(NAMES, 2), "the flows themselves are counted")
    for talk in talks:
        talk.close()
    net.until(lambda: net.active("Drift") == dict.fromkeys(NAMES, 0), "and none twice")


def test_each_service_has_its_own_timeouts(net: Net) -> None:
    short = Timeouts(established_s=1, closing_s=1, datagram_s=1)
    net.apply(
        site(
            echo("Short", timeouts=short),
            echo("ShortUdp", VIP, protocol=Protocol.UDP, timeouts=short),
            echo("Long", VIP6),
            echo("LongUdp", VIP6, protocol=Protocol.UDP, timeouts=Timeouts(datagram_s=2_592_000)),
        )
    )
    net.until(lambda: all(slot.ifindex for slot in net.slots()), "every server's MAC is known")
    talks = [net.connect(SOURCES[0]), net.connect("fd77::10", VIP6)]
    net.datagram(SOURCES[0], b"x")
    net.datagram("fd77::10", b"x", VIP6)

    def active() -> list[int]:
        return [sum(net.active(name).values()) for name in ("Short", "ShortUdp", "Long", "LongUdp")]

    assert active() == [1, 1, 1, 1]
    net.until(lambda: active() == [0, 0, 1, 1], "the short ones were silent for their second")
    assert talks[1].say()
