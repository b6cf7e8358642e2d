"""A server that came back gets its weight step by step."""

from __future__ import annotations

from tests.builders import dr, site
from willis.model.service import Watermarks
from willis.model.status import Place
from willis.plan.members import target
from willis.plan.shares import Returns, full, shares

SITE = site(dr(slow_start_s=100), dr("Other", vip=102))
SLOW = SITE.services[0]
VNA1 = Place("vna1", "DicomRouting")


def test_who_never_was_away_has_all() -> None:
    assert shares(SITE, Returns(), 1000.0) == {}


def test_a_recovered_server_grows_in_tenths_where_that_is_asked_for() -> None:
    returns = Returns(recovered={target(SLOW, SLOW.pool[0]): 1000.0})
    at = (1000.0, 1009.9, 1010.0, 1050.0, 1089.9, 1090.0)
    assert [shares(SITE, returns, now).get(VNA1) for now in at] == [0.1, 0.1, 0.2, 0.6, 0.9, None]
    assert all(place.service == "DicomRouting" for place in shares(SITE, returns, 1000.0))


def test_so_does_one_that_was_serviced() -> None:
    for place in (Place("vna1"), VNA1):
        assert shares(SITE, Returns(ordered={place: 1000.0}), 1000.0) == {VNA1: 0.1}


def test_a_clock_that_went_back_gives_the_least_share_and_no_error() -> None:
    assert shares(SITE, Returns(ordered={VNA1: 1000.0}), 5.0) == {VNA1: 0.1}


def test_a_server_is_full_from_the_high_watermark_down_to_the_low_one() -> None:
    config = site(dr(watermarks=Watermarks(high=10, low=7)), dr("Other", vip=102))
    counts = (9, 10, 8, 7, 8, 12)
    marked: frozenset[Place] = frozenset()
    found = []
    for count in counts:
        marked = full(config, marked, {VNA1: count, Place("vna1", "Other"): 1000})
        found.append(VNA1 in marked)
    assert found == [False, True, True, False, False, True]
    assert marked == {VNA1}
