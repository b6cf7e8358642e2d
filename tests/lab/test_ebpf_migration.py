"""An upgrade to another layout: what was pinned before is taken over, under traffic."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from struct import pack
from typing import Any

import pytest

from tests.lab.ebpf_net import LAB, NAMES, SOURCES, Net, echo, run, site, started, up
from willis.engines.ebpf import bpf, layout, migrate
from willis.engines.ebpf.bpf import Command, Map, MapInfo
from willis.engines.port import EngineError
from willis.model.node import Attach
from willis.model.persistence import SourcePersistence
from willis.model.service import Scheduler

pytestmark = LAB

SHORTER = {
    "v1": {"services": 32, "members": 24, "loads": 16, "census": 32, "flows": 16},
    "v2": {"census": 72, "flows": 16},
}
"""Bytes of the values that were shorter in earlier layouts; their other maps were as now."""
ABSENT = {"v1": {"timeouts", "heartbeat"}, "v2": set[str]()}


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    with started(tmp_path) as net:
        yield net


def make_map(info: MapInfo) -> int:
    """A map without a name, as the kernel makes one."""
    return bpf.call(
        Command.MAP_CREATE, pack("<IIIII", info.type, info.key, info.value, info.entries, info.flags)
    )


def age(net: Net, name_then: str = "v1") -> None:
    """Turns what is pinned into what an earlier layout left: shorter values, no map that came later."""
    new, old = net.pins / layout.LAYOUT, net.pins / name_then
    for name, size in SHORTER[name_then].items():
        descriptor = bpf.open_pin(new / name)
        info = bpf.map_info(descriptor)
        shorter = make_map(MapInfo(info.type, info.key, size, info.entries, info.flags))
        elements = [(key, value[:size]) for key, value in Map(descriptor, info.key, info.value).items()]
        Map(shorter, info.key, size).update_batch(elements)
        (new / name).unlink()
        bpf.pin(shorter, new / name)
        os.close(descriptor)
        os.close(shorter)
    for name in ABSENT[name_then]:
        (new / name).unlink()
    run("mv", str(new), str(old))


def shown(written: int, path: Path) -> None:
    """Has the aged map hold what the program, which writes into the one that it was made of, has written."""
    own, aged = bpf.map_info(written), bpf.open_pin(path)
    flows = [(key, value[:16]) for key, value in Map(written, own.key, own.value).items()]
    Map(aged, own.key, 16).update_batch(flows)
    os.close(aged)


@pytest.mark.parametrize("former", SHORTER)
def test_connections_clients_and_servers_survive(net: Net, former: str) -> None:
    config = site(echo("Keep", persistence=SourcePersistence(300), scheduler=Scheduler.WRR))
    net.apply(config)
    talks = [net.connect(source) for source in SOURCES[:9]]
    held = net.node.call(net.engine.observe)
    clients = net.node.call(net.engine.clients, "Keep")
    counted = net.node.call(net.engine.services)
    net.engine.close()
    age(net, former)
    assert all(talk.say() == talk.server for talk in talks)
    net.start()
    assert not (net.pins / former).exists()
    assert all(talk.say() == talk.server for talk in talks)
    found = net.node.call(net.engine.observe)
    assert {k: v for k, v in found.items() if k != "service/Keep"} == {
        k: v for k, v in held.items() if k != "service/Keep"
    }
    assert net.active("Keep") == dict.fromkeys(NAMES, 3)
    assert [(c.network, c.host) for c in net.node.call(net.engine.clients, "Keep")] == [
        (c.network, c.host) for c in clients
    ]
    assert net.node.call(net.engine.services)["Keep"].connections == counted["Keep"].connections
    assert [net.connect(source).server for source in SOURCES[:9]] == [talk.server for talk in talks]
    net.refresh()
    assert net.active("Keep") == dict.fromkeys(NAMES, 3), "no flow ended for want of a time-out"
    net.apply(config)
    assert net.node.call(net.engine.observe) == net.engine.compile(config, up(config))
    assert Counter(net.connect(source).server for source in SOURCES[20:29]) == dict.fromkeys(NAMES, 3)
    assert all(talk.say() == talk.server for talk in talks)
    assert len(list((net.pins / layout.LAYOUT / "hooks").rglob("eth0"))) == 1


def test_connections_that_begin_while_others_are_copied_survive_too(
    net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    net.apply(site(echo("Late", scheduler=Scheduler.WRR)))
    talks = [net.connect(source) for source in SOURCES[:4]]
    net.engine.close()
    written = bpf.open_pin(net.pins / layout.LAYOUT / "flows")
    age(net, "v2")
    copied = migrate.take_over

    def slowly(older: Path, *arguments: Any) -> None:
        copied(older, *arguments)
        talks.extend(net.connect(source) for source in SOURCES[4:8])
        shown(written, older / "flows")

    monkeypatch.setattr("willis.engines.ebpf.migrate.take_over", slowly)
    net.start()
    os.close(written)
    assert len(talks) == 8
    assert all(talk.say() == talk.server for talk in talks)
    net.refresh()
    assert sum(net.active("Late").values()) == 8
    assert net.node.call(net.engine.longest) == {}, "of these nobody knows when they began"


@pytest.mark.parametrize("step", ["load", "take_over", "remove"])
def test_a_takeover_that_was_cut_begins_again(net: Net, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    config = site(echo("Cut"))
    net.apply(config)
    talks = [net.connect(source) for source in SOURCES[:6]]
    net.engine.close()
    age(net)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        module = (
            "willis.engines.ebpf.driver.load" if step == "load" else f"willis.engines.ebpf.migrate.{step}"
        )
        patch.setattr(module, die)
        with pytest.raises(KeyboardInterrupt):
            net.start()
    assert all(talk.say() == talk.server for talk in talks)
    net.start()
    assert migrate.find(net.pins) is None
    net.apply(config)
    assert net.node.call(net.engine.observe) == net.engine.compile(config, up(config))
    assert all(talk.say() == talk.server for talk in talks)


def test_what_is_no_forerunner_is_refused_and_stays(net: Net) -> None:
    net.apply(site(echo("Other")))
    talk = net.connect(SOURCES[0])
    net.engine.close()
    age(net)
    run("mv", str(net.pins / "v1" / "links"), str(net.pins / "v1" / "loads"))
    with pytest.raises(EngineError, match="loads differs"):
        net.start()
    assert talk.say() == talk.server
    assert list((net.pins / "v1" / "hooks" / Attach.TCX).iterdir())
