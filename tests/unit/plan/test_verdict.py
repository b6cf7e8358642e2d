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


EACH_SECOND = Check(interval_s=1.0, rise=2, fall=2)


class Server:
    """A target that was up at second 100, on a clock of its own: a look at each interval."""

    def __init__(self, check: Check = EACH_SECOND) -> None:
        self.check, self.now, self.track = check, 100.0, after(GOOD, check=check)

    def look(self, *results: Result) -> Health:
        for result in results:
            self.now += self.check.interval_s
            self.track = advance(self.track, result, self.check, self.now)
        return self.track.health

    def recover(self) -> int:
        """Good looks until it is up."""
        looks = 0
        while self.track.health.verdict is not Verdict.UP:
            looks += 1
            self.look(GOOD)
        return looks

    def fail(self) -> None:
        self.look(*[BAD] * self.check.fall)

    def outages(self, times: int) -> list[int]:
        found = []
        for _ in range(times):
            self.fail()
            found.append(self.recover())
        return found


def test_who_falls_often_must_be_good_for_longer_and_three_outages_slow_nobody() -> None:
    assert Server().outages(8) == [2, 2, 2, 4, 8, 16, 16, 16]


def test_a_calm_time_is_forgiven() -> None:
    server = Server()
    server.outages(6)
    server.look(*[GOOD] * 300)
    assert server.outages(3) == [2, 2, 2]


def test_nobody_waits_for_longer_than_a_minute_and_rise_is_never_less() -> None:
    assert Server(replace(EACH_SECOND, interval_s=5.0)).outages(7)[3:] == [4, 8, 12, 12]
    assert Server(replace(EACH_SECOND, interval_s=30.0)).outages(6) == [2] * 6
    assert Server(replace(EACH_SECOND, interval_s=1.0, rise=100)).outages(2) == [100, 100]


def test_one_that_is_held_back_says_so_until_it_fails_or_is_up() -> None:
    server = Server()
    server.outages(3)
    server.fail()
    assert server.look(GOOD) == Health(Verdict.DEAD, BAD.reason, server.now - 1)
    held = server.look(GOOD)
    assert (held.verdict, held.held) == (Verdict.DEAD, True)
    assert held.reason == (
        "answers again, but fell 4 times within 5 minutes: trusted after 4 good looks in a row"
    )
    assert server.look(GOOD) == held, "nothing new wakes nobody"
    assert not server.look(BAD).held
    assert server.look(*[GOOD] * 4) == Health(Verdict.UP, GOOD.reason, server.now)


@given(st.lists(st.booleans(), max_size=300), st.integers(1, 4), st.integers(1, 3))
def test_falls_are_few_and_a_server_that_stays_good_comes_back(
    answers: list[bool], rise: int, fall: int
) -> None:
    """Within what is remembered: six falls, each further one after eight times ``rise``."""
    check = replace(EACH_SECOND, rise=rise, fall=fall)
    server, falls = Server(check), 0
    for ok in answers:
        was, now = server.track.health.verdict, server.look(GOOD if ok else BAD).verdict
        falls += was is Verdict.UP and now is not Verdict.UP
    assert falls <= 6 + len(answers) / (8 * rise + fall)
    assert server.recover() <= 8 * rise
