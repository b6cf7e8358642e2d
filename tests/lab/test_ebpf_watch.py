"""What people are told: clients and their servers, tables that fill up, an engine that was gone."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import pytest

from tests.lab.ebpf_net import LAB, NAMES, SOURCES, VIP6, Net, echo, site, started
from willis.engines.ebpf import fullness, layout
from willis.engines.ebpf.fullness import Room
from willis.engines.ebpf.layout import INDEX
from willis.model.persistence import SourcePersistence
from willis.model.service import Scheduler

pytestmark = LAB


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    with started(tmp_path_factory.mktemp("net")) as net:
        yield net


def test_clients_are_listed_and_forgotten(net: Net) -> None:
    tied = echo("Tied", scheduler=Scheduler.WRR, persistence=SourcePersistence(300))
    net.apply(site(tied, echo("Other", VIP6)))
    talks = [net.connect(source) for source in reversed(SOURCES[:9])]
    servers = [talk.server for talk in reversed(talks)]
    listed = net.node.call(net.engine.clients, "Tied")
    assert [str(client.network) for client in listed] == [f"{source}/32" for source in SOURCES[:9]]
    assert [client.host for client in listed] == servers
    assert all(290 < client.seconds_left <= 300.1 for client in listed)
    assert net.node.call(net.engine.clients, "Other") == net.node.call(net.engine.clients, "None") == []

    assert net.node.call(net.engine.forget, "Tied", ip_address(SOURCES[0])) == 1
    assert net.node.call(net.engine.forget, "Tied", ip_address(SOURCES[0])) == 0
    assert net.node.call(net.engine.forget, "Other") == 0
    assert len(net.node.call(net.engine.clients, "Tied")) == 8
    assert {net.connect(SOURCES[0]).server} | {net.connect(SOURCES[n]).server for n in (60, 61)} == set(NAMES)
    assert all(talk.say() == talk.server for talk in talks)
    assert net.node.call(net.engine.forget, "Tied") == 11
    assert net.node.call(net.engine.clients, "Tied") == []


def test_networks_of_clients(net: Net) -> None:
    net.apply(site(echo("Mask", persistence=SourcePersistence(300, 28)), echo("Mask6", VIP6, persistence=
        SourcePersistence(300, 64))))  # fmt: skip
    net.until(lambda: all(slot.ifindex for slot in net.slots()), "every server's MAC is known")
    for source in SOURCES[:20]:
        net.connect(source).close()
    net.connect("fd77::10", VIP6).close()
    networks = {client.network for client in net.node.call(net.engine.clients, "Mask")}
    assert networks == {ip_network(f"{source}/28", strict=False) for source in SOURCES[:20]}
    [client] = net.node.call(net.engine.clients, "Mask6")
    assert client.network == ip_network("fd77::/64")
    assert net.node.call(net.engine.forget, "Mask", ip_address(SOURCES[1])) == 1
    assert net.node.call(net.engine.forget, "Mask6", ip_address("fd77::99")) == 1


def test_tables_that_fill_up_are_told(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    net.apply(site(echo("Full", persistence=SourcePersistence(300))))
    talks = [net.connect(source) for source in SOURCES[:9]]
    net.until(
        lambda: net.engine._upkeep.flows >= 9 and net.engine._upkeep.clients >= 9, "a sweep has counted"
    )
    assert net.node.call(net.engine.alarms) == ()
    for name in ("FLOWS", "CLIENTS", "MEMBERS", "SERVICES", "PORTS"):
        monkeypatch.setattr(fullness, name, Room(name, 1, "do something."))
    said = net.node.call(net.engine.alarms)
    assert [sentence.split()[1] for sentence in said] == ["FLOWS", "CLIENTS", "MEMBERS", "SERVICES", "PORTS"]
    for talk in talks:
        talk.close()


def test_an_engine_that_was_gone_says_so_for_a_minute(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    net.refresh()
    net.engine.close()
    net.start()
    assert net.node.call(net.engine.alarms) == ()
    beats = net.engine._loaded.maps["heartbeat"]
    past = time.monotonic_ns() - 35 * layout.SECOND_NS
    beats.update(INDEX.pack(0), layout.HEARTBEAT.pack(past))
    net.engine.close()
    net.start()
    [said] = net.node.call(net.engine.alarms)
    gone = re.search(r"gone for ([0-9]+) s", said)
    assert gone is not None
    assert int(gone[1]) >= 35
    born = time.monotonic()
    monkeypatch.setattr("willis.engines.ebpf.heartbeat.time.monotonic", lambda: born + 61)
    assert net.engine._heartbeat.alarms() == ()
