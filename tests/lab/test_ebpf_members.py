"""Members come and go: drain, halt, removal, fallback server; live connections stay where they can."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address

import pytest

from tests.lab.ebpf_net import LAB, NAMES, SOURCES, Net, Talk, echo, site, started, up
from willis.engines.ebpf.layout import SlotState
from willis.model.service import RealServer, Scheduler
from willis.model.status import Admin

pytestmark = LAB


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    with started(tmp_path_factory.mktemp("net")) as net:
        yield net


@pytest.mark.parametrize("scheduler", list(Scheduler))
def test_a_drained_member_keeps_its_connections_and_gets_no_new_ones(net: Net, scheduler: Scheduler) -> None:
    config = site(echo(f"Drain-{scheduler}", scheduler=scheduler))
    net.apply(config)
    talk = net.connect(SOURCES[0])
    net.apply(config, up(config, {talk.server: Admin.DRAIN}))
    assert net.servers_of_new() == set(NAMES) - {talk.server}
    assert talk.say() == talk.server
    net.apply(config)
    assert net.servers_of_new() == set(NAMES)
    talk.close()


def test_a_halted_member_carries_nothing(net: Net) -> None:
    config = site(echo("Halt"))
    net.apply(config)
    talks = {talk.server: talk for talk in (net.connect(source) for source in SOURCES[:3])}
    net.apply(config, up(config, {"s2": Admin.HALT}))
    with pytest.raises((ConnectionError, ValueError)):
        talks["s2"].say()  # its next packet goes to another server, which resets it
    assert talks["s1"].say() == "s1"
    assert talks["s3"].say() == "s3"
    assert net.servers_of_new() == {"s1", "s3"}
    net.until(lambda: net.active("Halt")["s2"] == 0, "the halted member counts nothing")
    net.apply(config)
    assert net.servers_of_new() == set(NAMES)


def test_the_connections_of_a_dead_member_do_not_count_for_the_one_they_move_to(net: Net) -> None:
    config = site(echo("Dead"))
    net.apply(config)
    talks = [net.connect(source) for source in SOURCES[:9]]
    assert net.active("Dead") == {"s1": 3, "s2": 3, "s3": 3}
    net.apply(config, up(config, dead=("s1",)))
    for talk in talks:
        if talk.server == "s1":
            with pytest.raises((ConnectionError, ValueError)):
                talk.say()
        talk.close()
    net.until(lambda: not any(net.active("Dead").values()), "every count is back at nought")


def test_idle_connections_outlast_a_short_outage_and_count_when_they_prove_alive(net: Net) -> None:
    config = site(echo("Outage"))
    net.apply(config)
    talks = {talk.server: talk for talk in (net.connect(source) for source in SOURCES[:3])}
    net.apply(config, up(config, dead=("s1",)))
    net.until(lambda: net.active("Outage") == {"s1": 0, "s2": 1, "s3": 1}, "a dead server carries nothing")
    net.apply(config)
    assert talks["s1"].say() == "s1"
    time.sleep(2.1)
    assert talks["s1"].say() == "s1"
    assert net.active("Outage") == {"s1": 1, "s2": 1, "s3": 1}
    for talk in talks.values():
        talk.close()
    net.until(lambda: not any(net.active("Outage").values()), "all have ended")


def test_removal_breaks_no_connection_and_frees_the_slot_in_the_end(net: Net) -> None:
    whole = site(echo("Remove"))
    net.apply(whole)
    talks = {talk.server: talk for talk in (net.connect(source) for source in SOURCES[:3])}
    before = {slot.host: slot.number for slot in net.slots() if not slot.leaving}
    part = site(echo("Remove", hosts=("s1", "s3")))
    net.apply(part)
    assert net.node.call(net.engine.observe) == net.engine.compile(part, up(part))
    net.refresh()
    assert net.servers_of_new() == {"s1", "s3"}
    assert talks["s2"].say() == "s2"
    assert net.active("Remove")["s2"] == 1

    net.apply(whole)  # it comes back while its connection lasts: the same slot
    assert {slot.host: slot.number for slot in net.slots() if not slot.leaving} == before
    assert talks["s2"].say() == "s2"

    net.apply(part)
    talks["s2"].close()

    def is_free() -> bool:
        net.sweep(closing=0)  # as if the time-out of closing flows had passed
        return "s2" not in net.active("Remove")

    net.until(is_free, "the slot is free")
    assert talks["s1"].say() == "s1"


def test_a_host_with_a_new_address_is_another_machine(net: Net) -> None:
    net.apply(site(echo("Move", hosts=("s1",))))
    talk = net.connect(SOURCES[0])
    moved = echo("Move", hosts=("s1",))
    moved = replace(moved, pool=(replace(moved.pool[0], address=ip_address("10.77.0.12")),))
    net.apply(site(moved))
    assert net.node.call(net.engine.observe) == net.engine.compile(site(moved), up(site(moved)))
    assert net.servers_of_new() == {"s2"}
    assert talk.say() == "s1"
    states = sorted(
        slot.state for slot in net.slots() if slot.host == "s1" and slot.service == live(net, "Move")
    )
    assert states == [SlotState.OPEN, SlotState.LEAVING]
    talk.close()


def live(net: Net, name: str) -> int:
    return net.engine._book.services()[name].number


def test_the_fallback_server_serves_when_nobody_can(net: Net) -> None:
    spare = RealServer("s3", ip_address("10.77.0.13"))
    config = site(echo("Fall", hosts=("s1", "s2"), fallback=spare))
    net.apply(config)
    assert net.servers_of_new() == {"s1", "s2"}
    net.apply(config, up(config, dead=("s1", "s2")))
    talk = net.connect(SOURCES[0])
    assert talk.server == "s3"
    net.apply(config)
    assert net.servers_of_new() == {"s1", "s2"}
    assert talk.say() == "s3"
    net.apply(site(echo("Fall", hosts=("s1", "s2"))))  # without the fallback server its connections go on
    assert talk.say() == "s3"
    talk.close()


def test_a_renamed_fallback_host_is_taken_over(net: Net) -> None:
    for host in ("s3", "spare"):
        config = site(echo("Name", hosts=("s1",), fallback=RealServer(host, ip_address("10.77.0.13"))))
        net.apply(config)
        assert net.node.call(net.engine.observe) == net.engine.compile(config, up(config))


def test_a_sender_waits_while_nobody_can_serve(net: Net) -> None:
    config = site(echo("Wait"))
    net.apply(config, up(config, dead=NAMES))
    found: list[Talk] = []
    waiting = threading.Thread(target=lambda: found.append(net.connect(SOURCES[0], timeout=60)))
    waiting.start()
    net.until(lambda: net.node.call(net.engine.services)["Wait"].refused > 0, "a SYN was refused and counted")
    net.apply(config)
    waiting.join(timeout=60)
    assert found[0].server in NAMES


def test_renaming_a_service_keeps_its_connections(net: Net) -> None:
    net.apply(site(echo("Old")))
    talks = [net.connect(source) for source in SOURCES[:6]]
    net.apply(site(echo("New")))
    assert all(talk.say() == talk.server for talk in talks)
    assert net.servers_of_new() == set(NAMES)
