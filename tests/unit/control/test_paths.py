"""Who is held back until somebody has knocked through the VIP, and who is kept out afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import dr, seen, server, site
from willis.certificates.store import CertificateStore
from willis.control.controller import Controller
from willis.control.database import StoreError
from willis.control.loop import Loop
from willis.control.paths import Paths
from willis.control.store import Store
from willis.doctor.rules_direct import Door, Doors, doors
from willis.model.config import Config
from willis.model.status import Health, Place, Status, Verdict
from willis.plan.members import members, target
from willis.plan.verdict import Track

WHY = "VIP is missing"
SERVICE = dr()
CONFIG = site(SERVICE)
UP, DEAD = Track(Health(Verdict.UP)), Track(Health(Verdict.DEAD))
VNA1 = target(SERVICE, server(1))


class Wire:
    """Stands for the network: whose VIP is missing, and who is silent in all ways."""

    def __init__(self) -> None:
        self.missing: set[str] = set()
        self.silent: set[str] = set()
        self.asked: list[list[str]] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def __call__(self, config: Config, asked: Sequence[Door]) -> Doors:
        self.asked.append(sorted(door.place.host for door in asked))
        self.meanwhile()
        heard = [door for door in asked if door.place.host not in self.silent]
        bad = {door: WHY for door in heard if door.place.host in self.missing}
        return Doors(frozenset(heard) - bad.keys(), bad)


class Node:
    """The watch over one node's paths, by hand."""

    def __init__(self, config: Config = CONFIG, status: Status | None = None) -> None:
        self.wire = Wire()
        self.loop = Loop((), config, seen(config) if status is None else status)
        self.kept = [self.loop.status.paths]
        self.paths = Paths(self.loop, self.wire, self.kept.append)
        self.paths.follow(config)

    def look(self, *, whole: bool = True) -> dict[str, str]:
        asyncio.run(self.paths.look(self.wire, whole=whole))
        return self.verdicts()

    def verdicts(self) -> dict[str, str]:
        return {m.server.host: str(m.health.verdict) for m in members(SERVICE, self.loop.status)}

    def turns(self, before: Track, after: Track) -> None:
        """The ordinary check of vna1, as the controller tells it."""
        self.paths.saw(VNA1, before, after)
        status = self.loop.status
        self.loop.learn(replace(status, health={**status.health, VNA1: after.health}))


ALL_UP = {"vna1": "up", "vna2": "up", "vna3": "up"}


def test_a_server_without_the_vip_is_misconfigured_until_it_answers_by_it() -> None:
    node = Node()
    assert node.verdicts() == ALL_UP
    node.wire.missing = {"vna1"}
    assert node.look() == ALL_UP | {"vna1": "misconfigured"}
    (member, *_) = members(SERVICE, node.loop.status)
    assert (member.health.reason, member.takes_new) == (WHY, False)
    since = member.health.since
    node.wire.silent = {"vna1"}
    node.look()
    assert members(SERVICE, node.loop.status)[0].health == Health(Verdict.MISCONFIGURED, WHY, since)
    node.wire.missing = node.wire.silent = set()
    assert node.look() == ALL_UP


def test_a_server_that_begins_to_be_up_is_looked_at_first() -> None:
    node = Node(status=seen(CONFIG, vna1=Verdict.DEAD))
    node.look()
    node.wire.missing = {"vna1"}
    node.turns(DEAD, UP)
    assert node.verdicts() == ALL_UP | {"vna1": "unknown"}
    assert node.look(whole=False) == ALL_UP | {"vna1": "misconfigured"}
    assert node.wire.asked == [["vna2", "vna3"], ["vna1"]]
    node.turns(UP, DEAD)
    assert node.verdicts()["vna1"] == "dead"
    node.wire.missing = set()
    node.turns(DEAD, UP)
    assert node.verdicts()["vna1"] == "misconfigured"
    assert node.look(whole=False) == ALL_UP


def test_who_comes_back_while_the_others_are_looked_at_waits_for_a_look_of_its_own() -> None:
    node = Node()
    node.wire.meanwhile = lambda: (node.turns(UP, DEAD), node.turns(DEAD, UP))
    assert node.look() == ALL_UP | {"vna1": "unknown"}
    node.wire.meanwhile = lambda: None
    assert node.look(whole=False) == ALL_UP
    assert node.wire.asked[-1] == ["vna1"]


def test_what_an_engine_finds_at_its_start_is_not_held_back_but_a_new_service_is() -> None:
    node = Node()
    assert node.verdicts() == ALL_UP
    more = site(SERVICE, dr("Other", 102))
    node.loop.config = more
    node.paths.follow(more)
    assert node.verdicts() == ALL_UP
    other = {str(m.health.verdict) for m in members(more.services[1], node.loop.status)}
    assert other == {"unknown"}
    node.paths.follow(CONFIG)
    assert node.loop.status.paths == {}


def test_nobody_is_accused_before_the_vip_was_open_somewhere() -> None:
    """Else a firewall that lets in clients and not the node would end a service."""
    node = Node()
    node.wire.missing = set(ALL_UP)
    assert node.look() == ALL_UP
    node.wire.missing = {"vna1", "vna2"}
    assert node.look() == {"vna1": "misconfigured", "vna2": "misconfigured", "vna3": "up"}
    node.wire.missing = set(ALL_UP)
    assert set(node.look().values()) == {"misconfigured"}


def test_a_fault_is_kept_over_a_restart_until_the_server_answers_by_the_vip() -> None:
    node = Node()
    node.look()
    node.wire.missing = {"vna1"}
    node.look()
    node.look()
    assert len(node.kept) == 2, "written once"
    after = Node(status=replace(seen(CONFIG), paths=node.kept[-1]))
    assert after.verdicts() == ALL_UP | {"vna1": "misconfigured"}
    since = members(SERVICE, after.loop.status)[0].health.since
    after.wire.silent = {"vna1"}
    assert after.look() == ALL_UP | {"vna1": "misconfigured"}
    assert members(SERVICE, after.loop.status)[0].health.since == since
    after.wire.silent = set()
    assert after.look() == ALL_UP
    assert after.kept[-1] == {}


def test_what_is_kept_of_a_server_that_left_is_forgotten() -> None:
    kept = {Place("vna9", "DicomRouting"): Health(Verdict.MISCONFIGURED, WHY)}
    node = Node(status=replace(seen(CONFIG), paths=kept))
    assert (node.loop.status.paths, node.kept[-1]) == ({}, {})


def test_a_store_that_does_not_keep_stops_nothing() -> None:
    def full(_: object) -> None:
        raise StoreError("the disk is full")

    node = Node()
    node.paths = Paths(node.loop, node.wire, full)
    node.paths.follow(CONFIG)
    node.look()
    node.wire.missing = {"vna1"}
    assert node.look() == ALL_UP | {"vna1": "misconfigured"}


def test_a_server_that_is_shut_at_one_of_two_ports_takes_nothing_new() -> None:
    service = dr(ports=(11112, 104))
    node = Node(site(service))
    node.look()
    shut = next(d for d in doors(site(service)) if d.place.host == "vna1" and d.port == 104)

    def look(config: Config, asked: Sequence[Door]) -> Doors:
        return Doors(frozenset(asked) - {shut}, {shut: WHY})

    asyncio.run(node.paths.look(look, whole=True))
    assert [str(m.health.verdict) for m in members(service, node.loop.status)] == [
        "misconfigured",
        "up",
        "up",
    ]
    after = Node(site(service), replace(seen(site(service)), paths=node.kept[-1]))
    asyncio.run(after.paths.look(look, whole=True))
    assert [str(m.health.verdict) for m in members(service, after.loop.status)][0] == "misconfigured"
    node.look()
    assert node.loop.status.paths == {}


def test_who_cannot_look_any_more_accuses_nobody_for_long() -> None:
    node = Node()
    node.look()
    node.wire.missing = {"vna1"}
    node.look()

    def refused(config: Config, asked: Sequence[Door]) -> Doors:
        raise OSError(1, "Operation not permitted")

    asyncio.run(node.paths.look(refused, whole=True))
    assert node.verdicts() == ALL_UP | {"vna1": "misconfigured"}
    asyncio.run(node.paths.look(refused, whole=True))
    assert node.verdicts() == ALL_UP


@pytest.mark.parametrize("error", [PermissionError(1, "Operation not permitted"), KeyError("a bug")])
def test_a_node_that_cannot_look_holds_nobody_back(error: Exception) -> None:
    node = Node(status=seen(CONFIG, vna1=Verdict.DEAD))

    def refused(config: Config, asked: Sequence[Door]) -> Doors:
        raise error

    node.turns(DEAD, UP)
    asyncio.run(node.paths.look(refused, whole=False))
    assert node.verdicts() == ALL_UP
    node.turns(UP, DEAD)
    node.turns(DEAD, UP)
    assert node.verdicts() == ALL_UP


def test_a_light_twin_has_no_such_path() -> None:
    loop = Loop((), CONFIG, seen(CONFIG, vna1=Verdict.DEAD))
    paths = Paths(loop, None, lambda _: None)
    paths.follow(CONFIG)
    paths.saw(VNA1, DEAD, UP)
    paths.start()
    paths.close()
    assert loop.status.paths == {}


@pytest.mark.parametrize("knocks", [True, False])
def test_an_engine_starts_with_the_faults_that_the_last_one_found(tmp_path: Path, *, knocks: bool) -> None:
    """But only where it knocks itself: else nobody would ever take them back."""
    store, wire = Store(tmp_path / "willis.db"), Wire() if knocks else None
    faults = {Place("vna1", SERVICE.name): Health(Verdict.MISCONFIGURED, WHY, 7.0)}
    store.keep_paths(faults)
    controller = Controller("lb1", store, [], CertificateStore(tmp_path), knock=wire)
    assert controller.loop.status.paths == (faults if knocks else {})
    asyncio.run(controller.close())
