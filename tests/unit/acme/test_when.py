"""What is due when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willis.acme.when import THRESHOLDS, Life, due, halfway, order_at, renewal_at, retry_after

BORN = datetime(2026, 1, 1, tzinfo=UTC)
lives = st.timedeltas(timedelta(hours=1), timedelta(days=4000))
moments = st.timedeltas(timedelta(), timedelta(days=5000))


def stored(life: timedelta, renewed: bool = False) -> Life:
    return Life("pacs", BORN, BORN + life, renewed)


@given(lives, moments)
def test_the_threshold_is_the_tightest_that_holds(life: timedelta, age: timedelta) -> None:
    event = due(BORN + age, stored(life))
    left = life - age
    holding = [days for days in THRESHOLDS if left <= timedelta(days=days)]
    assert (None if event is None else event.threshold) == (min(holding) if holding else None)


@given(lives, moments, moments)
def test_thresholds_only_tighten_with_time(life: timedelta, one: timedelta, other: timedelta) -> None:
    first, later = (due(BORN + age, stored(life)) for age in sorted((one, other)))
    if first is not None:
        assert later is not None
        assert later.threshold <= first.threshold


@given(lives)
def test_a_renewal_is_within_the_life_and_at_most_30_days_before_its_end(life: timedelta) -> None:
    at, whole = renewal_at(stored(life)), stored(life)
    assert whole.not_before < at < whole.not_after
    assert whole.not_after - at <= timedelta(days=30)


@pytest.mark.parametrize(("days", "left"), [(90, 30), (398, 30), (6, 2)])
def test_a_third_or_30_days_whichever_is_smaller(days: int, left: int) -> None:
    assert stored(timedelta(days=days)).not_after - renewal_at(stored(timedelta(days=days))) == timedelta(
        days=left
    )


def test_other_domains_are_ordered_at_once_and_case_does_not_count() -> None:
    own = stored(timedelta(days=90))
    assert order_at(own, ("Pacs.example.org",), ("pacs.example.org",)) == renewal_at(own)
    assert order_at(own, ("pacs.example.org",), ("pacs.example.org", "ris.example.org")) == BORN
    assert order_at(own, (), ("pacs.example.org",)) == BORN


@given(st.integers(1, 10**6))
def test_the_wait_grows_and_stays_within_half_a_day(failures: int) -> None:
    wait = retry_after(failures)
    assert timedelta(minutes=15) <= wait <= timedelta(hours=12)
    assert wait <= retry_after(failures + 1)


@given(moments, lives)
def test_halfway_is_in_the_middle(start: timedelta, length: timedelta) -> None:
    since = BORN + start
    middle = halfway(since, since + length)
    assert abs((middle - since) - (since + length - middle)) <= timedelta(microseconds=1)


def test_the_sentences_say_what_to_do() -> None:
    own = stored(timedelta(days=365))
    event = due(own.not_after - timedelta(days=6, hours=3), own)
    assert event is not None
    assert event.sentence == (
        "certificate pacs expires in 6 days; renew it: willis certificate add pacs FILE"
    )
    gone = due(own.not_after, stored(timedelta(days=365), renewed=True))
    assert gone is not None
    assert gone.sentence.startswith("certificate pacs EXPIRED at 2027-01-01 00:00 UTC")
    assert gone.sentence.endswith("willis acme renew pacs")
    assert due(own.not_after - timedelta(hours=5), own).sentence.startswith(  # type: ignore[union-attr]
        "certificate pacs expires in 5 hours"
    )
