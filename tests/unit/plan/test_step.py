"""Diff, guard and impact: what a step from one site to another is."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from tests.builders import dr, server, site, web
from willis.model.service import Scheduler, VirtualService
from willis.plan.diff import Action, diff
from willis.plan.guard import guard
from willis.plan.impact import Effect, impact


def test_diff_creates_updates_and_deletes_in_the_order_of_keys() -> None:
    found = diff("e", {"b/1": 1, "c/1": 1, "d/1": 1}, {"a/1": 1, "c/1": 2, "d/1": 1})
    assert [(c.action, c.key, c.kind) for c in found] == [
        (Action.CREATE, "a/1", "a"),
        (Action.DELETE, "b/1", "b"),
        (Action.UPDATE, "c/1", "c"),
    ]


def _many(count: int) -> list[VirtualService]:
    return [dr(f"S{n}", vip=101 + n) for n in range(count)]


@pytest.mark.parametrize(
    ("before", "after", "ok"), [(16, 8, True), (16, 7, False), (3, 1, True), (3, 0, False), (0, 0, True)]
)
def test_the_guard_refuses_to_remove_most_services(before: int, after: int, ok: bool) -> None:
    assert guard(site(*_many(before)), site(*_many(after))).ok is ok


def test_the_guard_says_what_it_refuses() -> None:
    assert "removes 3 of 4 services (S1, S2, S3)" in guard(site(*_many(4)), site(*_many(1))).reason


@pytest.mark.parametrize(
    ("changed", "effect"),
    [
        ({}, Effect.NONE),
        ({"scheduler": Scheduler.SH}, Effect.NEW_SESSIONS),
        ({"pool": (server(1),)}, Effect.NEW_SESSIONS),
        ({"ports": (11112, 11113)}, Effect.NEW_SESSIONS),
        ({"ports": (11113,)}, Effect.DROPS),
        ({"vip": IPv4Address("10.60.0.120")}, Effect.DROPS),
    ],
)
def test_impact_on_live_sessions(changed: dict[str, object], effect: Effect) -> None:
    assert impact(site(dr()), site(replace(dr(), **changed)))[0].effect is effect


def test_impact_of_services_that_come_and_go() -> None:
    found = {i.service: i.effect for i in impact(site(dr()), site(web()))}
    assert found == {"DicomRouting": Effect.DROPS, "VitreaRead": Effect.NEW_SESSIONS}
