"""Diff and guard: what a step from one site to another is."""

from __future__ import annotations

import pytest

from tests.builders import dr, site
from willis.model.service import VirtualService
from willis.plan.diff import Action, diff
from willis.plan.guard import guard


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
