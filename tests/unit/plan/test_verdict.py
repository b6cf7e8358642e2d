"""Rise and fall: when looks turn a verdict, and what does not."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from willis.model.check import Check, CheckKind
from willis.model.status import Health, Verdict
from willis.plan.verdict import Result, Track, advance

CHECK = Check(rise=2, fall=3)
GOOD = Result(at=1.0, verdict=Verdict.UP, reason="accepts connections")
BAD = Result(at=1.0, verdict=Verdict.DEAD, reason="connection refused by 10.60.0.11:2398")
BLIND = Result(at=1.0, verdict=Verdict.UNKNOWN, reason="no descriptor left")


def after(*results: Result, track: Track | None = None, check: Check = CHECK) -> Track:
    found = track or Track()
    for now, result in enumerate(results, 100):
        found = advance(found, result, check, float(now))
    return found


def test_the_first_result_is_believed_at_once() -> None:
    assert after(GOOD).health == Health(Verdict.UP, GOOD.reason, since=100.0)
    assert after(BAD).health == Health(Verdict.DEAD, BAD.reason, since=100.0)


def test_fall_failures_in_a_row_take_a_server_out() -> None:
    assert after(GOOD, BAD, BAD).health.verdict is Verdict.UP
    assert after(GOOD, BAD, BAD, GOOD, BAD, BAD).health.verdict is Verdict.UP
    assert after(GOOD, BAD, BAD, BAD).health == Health(Verdict.DEAD, BAD.reason, since=103.0)


def test_rise_successes_in_a_row_bring_it_back() -> None:
    assert after(BAD, GOOD, BAD, GOOD).health.verdict is Verdict.DEAD
    assert after(BAD, GOOD, GOOD).health == Health(Verdict.UP, GOOD.reason, since=102.0)


def test_between_two_bad_verdicts_the_newest_holds_at_once() -> None:
    hung = replace(BAD, verdict=Verdict.HUNG, reason="no association")
    assert after(BAD, hung).health == Health(Verdict.HUNG, "no association", since=101.0)


def test_a_repeated_result_leaves_the_health_as_it_is() -> None:
    later = replace(GOOD, at=9.0, took_ms=7.0)
    assert after(GOOD, later).health == after(GOOD).health
    assert after(GOOD, later).last_good == later


def test_our_own_fault_changes_no_verdict_and_breaks_no_row() -> None:
    assert after(GOOD, BAD, BAD, BLIND, BAD).health.verdict is Verdict.DEAD
    assert after(GOOD, *[BLIND] * 9).health.verdict is Verdict.UP
    assert after(BLIND).health == Health(Verdict.UNKNOWN, BLIND.reason)
    assert after(BLIND, BAD).health.verdict is Verdict.DEAD


def test_a_verdict_from_the_store_is_not_believed_away_by_one_failure() -> None:
    stored = Track(health=Health(Verdict.UP, "accepts connections", 50.0))
    assert after(BAD, track=stored).health.verdict is Verdict.UP


def test_the_last_good_and_the_last_failed_look_are_kept() -> None:
    track = after(GOOD, BAD, replace(GOOD, at=3.0), BLIND)
    assert (track.last_good, track.last_failed) == (replace(GOOD, at=3.0), BAD)


@given(st.lists(st.sampled_from([GOOD, BAD, BLIND])), st.integers(1, 4), st.integers(1, 4))
def test_a_verdict_turns_only_after_a_whole_row(results: list[Result], rise: int, fall: int) -> None:
    check = Check(rise=rise, fall=fall)
    track = Track()
    counted: list[bool] = []
    for result in results:
        before, track = track, advance(track, result, check, 1.0)
        counted += [result.ok] if result.counts else []
        if before.health.verdict is Verdict.UNKNOWN or before.health.verdict is track.health.verdict:
            continue
        needed = rise if track.health.verdict is Verdict.UP else fall
        assert len(set(counted[-needed:])) == 1
        assert len(counted) >= needed


def test_a_server_that_becomes_far_slower_is_busy_and_not_down() -> None:
    quick, slow, very = (replace(GOOD, took_ms=ms) for ms in (40.0, 400.0, 800.0))
    known = after(*[quick] * 25)
    assert after(*[slow] * 7, track=known).health.verdict is Verdict.UP
    assert after(*[slow] * 7, quick, *[slow] * 7, track=known).health.verdict is Verdict.UP, "lost packets"
    assert after(*[slow] * 8, track=known).health.verdict is Verdict.BUSY
    assert after(very, very, very, track=known).health.verdict is Verdict.UP
    busy = after(very, very, very, very, track=known)
    assert busy.health.verdict is Verdict.BUSY
    assert busy.health.reason == "accepts connections, but more than 5 times slower than usual"
    assert after(quick, track=busy).health.verdict is Verdict.UP


def test_what_is_always_slow_is_usual() -> None:
    slow = replace(GOOD, took_ms=4000.0)
    assert after(*[slow] * 50).health.verdict is Verdict.UP
    grown = after(*[replace(GOOD, took_ms=40.0)] * 25, *[slow] * 2000)
    assert grown.health.verdict is Verdict.UP, "in the end it is usual"


def test_light_and_deep_looks_are_not_compared() -> None:
    light, deep = replace(GOOD, took_ms=0.5), replace(GOOD, took_ms=300.0, kind=CheckKind.DICOM_FIND)
    assert after(*[light, light, deep] * 30).health.verdict is Verdict.UP


def test_a_little_more_of_very_little_is_nothing() -> None:
    known = after(*[replace(GOOD, took_ms=0.5)] * 25)
    assert after(*[replace(GOOD, took_ms=60.0)] * 5, track=known).health.verdict is Verdict.UP
