"""When looks are due, on a clock of our own."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willis.health.timetable import Timetable
from willis.model.check import Check, Deep, Dicom, Target
from willis.model.status import Verdict
from willis.plan.verdict import Result, Track, advance

A, B = (Target(IPv4Address(f"10.60.0.{n}"), 104) for n in (11, 12))
CHECK = Check(interval_s=10.0, rise=2, fall=2)
GOOD = Result(0.0, Verdict.UP, "accepts connections")
BAD = Result(0.0, Verdict.DEAD, "connection refused")
BLIND = Result(0.0, Verdict.UNKNOWN, "no descriptor left")


def looks(
    *results: Result | None, chance: float = 0.6, check: Check = CHECK, took: float = 0.0
) -> list[float]:
    """Seconds between the looks at A, from one's begin to the next one's; each takes ``took``."""
    table = Timetable(lambda: chance)
    table.set({A: check}, 0.0)
    now, pauses = 0.0, []
    for result in results:
        assert table.take(now) == (A, check, A)
        table.done(A, result, now + took)
        due = table.next_due()
        assert due is not None
        pauses.append(pytest.approx(due - now))
        now = due
    return pauses


def test_the_first_look_is_at_once_and_the_second_within_one_interval() -> None:
    assert looks(GOOD, chance=0.0) == [0.0]
    assert looks(GOOD, chance=0.999) == [9.99]


def test_settled_targets_wait_the_interval_or_up_to_five_percent_less() -> None:
    assert looks(GOOD, GOOD, chance=0.0) == [0.0, 10.0]
    assert looks(GOOD, GOOD, GOOD, chance=0.6) == [6.0, 9.75, 9.75]
    assert looks(GOOD, GOOD, chance=0.99) == [9.9, 9.6]


@given(st.floats(0, 0.999), st.floats(0, 0.999), st.floats(0.1, 3600))
def test_no_look_is_late_and_none_more_than_five_percent_early(
    first: float, chance: float, interval: float
) -> None:
    chances = iter((first, chance))
    table = Timetable(lambda: next(chances))
    table.set({A: replace(CHECK, interval_s=interval)}, 0.0)
    now = 0.0
    for _ in range(2):
        assert table.take(now) is not None
        table.done(A, GOOD, now)
        before, now = now, table.next_due() or 0.0
    assert 0.9499 * interval <= now - before <= 1.0001 * interval


def test_targets_that_appeared_at_any_time_are_looked_at_together() -> None:
    """200 of them wake the engine some 40 times an interval."""
    chance = Random(5).random
    table = Timetable(chance)
    table.set({Target(IPv4Address(n), 104): CHECK for n in range(200)}, 0.0)
    now, wakes = 0.0, set[float]()
    while (now := table.next_due() or 0.0) < 100.0:
        wakes.add(now)
        while (due := table.take(now)) is not None:
            table.done(due.target, GOOD, now)
    assert len([at for at in wakes if 50 <= at < 100]) <= 5 * 41


def test_the_time_that_a_look_takes_belongs_to_the_interval() -> None:
    assert looks(GOOD, GOOD, GOOD, chance=0.0, took=4.0) == [4.0, 10.0, 10.0]
    assert looks(GOOD, GOOD, GOOD, chance=0.0, took=20.0) == [20.0, 20.3, 20.3], "never without a rest"


def test_a_change_is_looked_at_again_quickly_until_it_is_settled() -> None:
    assert looks(GOOD, GOOD, BAD, BAD, BAD) == [6.0, 9.75, 0.3, 9.7, 9.75]
    assert looks(GOOD, BAD, GOOD, GOOD, GOOD) == [6.0, 0.3, 0.3, 9.65, 9.75]
    assert looks(GOOD, BAD, check=replace(CHECK, interval_s=0.2)) == [0.12, 0.2]


def test_a_killed_server_is_out_within_two_seconds() -> None:
    """Interval 1 s, fall 2: the longest pause, and one quick repeat."""
    pauses = looks(GOOD, GOOD, BAD, chance=0.0, check=Check(interval_s=1.0, fall=2))
    assert pauses[1:] == [1.0, 0.3]


def test_a_silent_server_is_asked_again_at_once() -> None:
    """Interval and time-out 1 s, fall 2: out after three seconds at most."""
    pauses = looks(GOOD, BAD, took=1.0, chance=0.0, check=Check(interval_s=1.0, timeout_s=1.0, fall=2))
    assert pauses[1:] == [1.0]


def test_our_own_fault_and_a_broken_look_hurry_nobody() -> None:
    assert looks(GOOD, BLIND, None, BLIND) == [6.0, 9.75, 9.75, 9.75]


def test_targets_come_go_and_change_without_disturbing_others() -> None:
    table = Timetable(lambda: 0.5)
    table.set({A: CHECK}, 0.0)
    assert table.take(0.0) == (A, CHECK, A)
    assert table.done(A, GOOD, 0.0)
    table.set({A: CHECK, B: CHECK}, 1.0)
    assert table.take(1.0) == (B, CHECK, B)
    assert table.take(1.0) is None
    assert table.next_due() == 5.0
    table.set({A: CHECK}, 2.0)
    assert not table.done(B, GOOD, 2.0), "nobody asks for B any more"
    table.set({}, 3.0)
    assert table.next_due() is None


def test_a_shorter_interval_holds_at_once() -> None:
    table = Timetable(lambda: 0.5)
    table.set({A: CHECK}, 0.0)
    table.take(0.0)
    table.done(A, GOOD, 0.0)
    table.set({A: replace(CHECK, interval_s=1.0)}, 0.0)
    assert table.next_due() == 0.5
    assert table.take(0.5) == (A, replace(CHECK, interval_s=1.0), A)
    assert table.take(99.0) is None, "no second look while one runs"


def test_a_target_that_left_and_came_back_while_busy_is_looked_at_once() -> None:
    table = Timetable(lambda: 0.5)
    table.set({A: CHECK}, 0.0)
    table.take(0.0)
    table.set({}, 1.0)
    table.set({A: CHECK}, 2.0)
    assert table.take(2.0) == (A, CHECK, A)


def test_targets_of_both_address_families_stand_side_by_side() -> None:
    table = Timetable(lambda: 0.5)
    both = {Target(ip_address(a), 104): Check() for a in ("10.60.0.11", "2001:db8::11", "10.60.0.12")}
    table.set(both, 0.0)
    taken = {found[0] for _ in both if (found := table.take(0.0)) is not None}
    assert taken == both.keys()


def questions(*results: Result, every: int = 2) -> list[str]:
    """What is asked of a target with a deep question, by kind, when its looks end like this."""
    target = replace(A, deep=Deep(Dicom(), every, port=105))
    table = Timetable(lambda: 0.5)
    table.set({target: CHECK}, 0.0)
    asked, now = [], 0.0
    for result in results:
        due = table.take(now)
        assert due is not None
        asked.append(f"{due.aim.kind}:{due.aim.port}")
        table.done(target, result, now)
        following = table.next_due()
        assert following is not None
        now = following
    return asked


LIGHT, DEEP = "tcp:104", "dicom-echo:105"


def test_a_server_that_is_well_is_asked_deeply_once_in_a_while() -> None:
    assert questions(*[GOOD] * 7) == [DEEP, LIGHT, LIGHT, DEEP, LIGHT, LIGHT, DEEP]


def test_one_that_is_not_is_asked_deeply_until_it_is_well_again() -> None:
    found = questions(GOOD, BAD, BAD, BAD, GOOD, GOOD, GOOD)
    assert found == [DEEP, LIGHT, DEEP, DEEP, DEEP, DEEP, LIGHT]


def test_our_own_faults_do_not_make_the_next_look_deep() -> None:
    assert questions(GOOD, BLIND, GOOD, GOOD) == [DEEP, LIGHT, LIGHT, DEEP]


@given(
    st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3)
)
def test_light_looks_never_bring_back_what_the_deep_one_finds_ill(
    lights: list[bool], every: int, rise: int, fall: int
) -> None:
    """The deep look succeeds once, then never again; whoever is dead is asked no light question."""
    target = replace(A, deep=Deep(Dicom(), every))
    check = replace(CHECK, rise=rise, fall=fall)
    table, track, now, deep = Timetable(lambda: 0.5), Track(), 0.0, iter((GOOD,))
    table.set({target: check}, now)
    for light in lights:
        due = table.take(now)
        assert due is not None
        is_light = due.aim is target
        assert not (is_light and track.health.verdict is Verdict.DEAD)
        result = (GOOD if light else BAD) if is_light else next(deep, BAD)
        track = advance(track, result, check, now)
        table.done(target, result, now)
        following = table.next_due()
        assert following is not None
        now = following
