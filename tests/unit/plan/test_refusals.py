"""Who is busy by what clients were refused, and what a check's verdict makes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders import dr, seen, server, site
from willis.model.refusal import ASSOCIATION, Refusal
from willis.model.status import Admin, Health, Place, Verdict
from willis.plan.members import Standing, members
from willis.plan.refusals import busy, combined, sentence

PACS1 = Place("vna1", "DicomRouting")
STORED = Refusal("C-STORE", "A700 (out of resources)", 3, 5.0)
REJECTED = Refusal(ASSOCIATION, "local limit exceeded", 1, 70.0)
BUSY = Health(Verdict.BUSY, sentence([STORED]), 1_000.0)


def test_the_reason_says_what_and_how_often() -> None:
    assert sentence([STORED]) == "answered 3 C-STORE with A700 (out of resources) in the last minute"
    assert sentence([replace(REJECTED, count=2)]).startswith("rejected 2 associations (local limit exceeded)")
    assert "association (local limit exceeded) and answered 3" in sentence([REJECTED, STORED])


def test_a_server_is_busy_until_its_last_refusal_is_old() -> None:
    first = busy({}, {PACS1: [STORED]}, now=1_000.0, hold_s=60)
    assert first == {PACS1: BUSY}
    later = busy(first, {PACS1: [replace(STORED, ago_s=59.0)]}, now=1_054.0, hold_s=60)
    assert later[PACS1].since == 1_000.0
    assert busy(later, {PACS1: [replace(STORED, ago_s=60.0)]}, now=1_055.0, hold_s=60) == {}
    assert busy(later, {}, now=1_055.0, hold_s=60) == {}


@pytest.mark.parametrize("verdict", Verdict)
def test_only_up_becomes_busy(verdict: Verdict) -> None:
    checked = Health(verdict, "seen")
    assert combined(checked, None) == checked
    assert combined(checked, BUSY) == (BUSY if verdict is Verdict.UP else checked)


def test_a_busy_server_keeps_half_its_weight_and_stays_open() -> None:
    config = site(dr(pool=(server(1, weight=100), server(2, weight=1), server(3, weight=0))))
    places = [Place(f"vna{n}", "DicomRouting") for n in (1, 2, 3)]
    status = replace(seen(config), busy=dict.fromkeys(places, BUSY))
    pool = members(config.services[0], status)
    assert [m.weight for m in pool] == [50, 1, 0]
    assert {m.standing for m in pool} == {Standing.OPEN}
    assert pool[0].health == BUSY
    assert members(replace(config.services[0], name="Other"), status)[0].health.verdict is Verdict.UP


def test_an_order_or_a_dead_verdict_holds() -> None:
    config = site(dr())
    status = replace(seen(config, vna2=Verdict.DEAD), admin={Place("vna1"): Admin.HALT})
    status = replace(status, busy={Place(f"vna{n}", "DicomRouting"): BUSY for n in (1, 2)})
    one, two, _ = members(config.services[0], status)
    assert one.standing is two.standing is Standing.DOWN
    assert two.health.verdict is Verdict.DEAD
