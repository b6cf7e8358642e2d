"""The arithmetic of measured values: folding, aligning, bounds, packing."""

from __future__ import annotations

from math import isnan, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from willis.control.frames import (
    METRICS,
    WIDTH,
    Band,
    Chunk,
    Frame,
    Frames,
    fold,
    fold_frames,
    merge,
    pack,
    unpack,
)

FLOATS = st.floats(0, 1e9, width=32)
VALUES = st.one_of(st.just(nan), FLOATS)
BANDS = st.lists(VALUES, min_size=WIDTH, max_size=WIDTH).map(Band.measured)
KNOWN = st.lists(FLOATS, min_size=WIDTH, max_size=WIDTH).map(Band.measured)
FEW = settings(max_examples=40)
KEYS = st.sampled_from([("A", ""), ("B", ""), ("A", "vna1"), ("B", "vna1"), ("B", "vna2")])


@st.composite
def frames(draw: st.DrawFn, number: int = 0) -> Frame:
    found = draw(st.dictionaries(KEYS, st.lists(VALUES, min_size=WIDTH, max_size=WIDTH), max_size=5))
    rows = {key: row for row, key in enumerate(found)}
    return Frame(number, rows, Band.measured(value for values in found.values() for value in values))


def same(a: Band | None, b: Band | None) -> bool:
    """NaN differs from itself, and counts as alike here."""
    return repr(a) == repr(b)


@FEW
@given(st.lists(BANDS, min_size=1, max_size=15))
def test_what_is_folded_lies_between_its_least_and_greatest_and_loses_no_total(bands: list[Band]) -> None:
    found = fold(bands)
    for column in range(WIDTH):
        known = [band.avg[column] for band in bands if not isnan(band.avg[column])]
        if not known:
            assert isnan(found.avg[column]) and isnan(found.low[column]) and isnan(found.high[column])
            continue
        assert found.low[column] == min(known) <= found.avg[column] <= max(known) == found.high[column]
        assert found.avg[column] * len(known) == pytest.approx(sum(known), rel=1e-6)


@FEW
@given(st.lists(KNOWN, min_size=12, max_size=12))
def test_folding_in_two_steps_is_folding_in_one(bands: list[Band]) -> None:
    once, twice = fold(bands), fold([fold(bands[at : at + 3]) for at in range(0, 12, 3)])
    assert (once.low, once.high) == (twice.low, twice.high)
    assert list(once.avg) == pytest.approx(list(twice.avg), rel=1e-5)


@FEW
@given(st.lists(frames(), min_size=1, max_size=6))
def test_frames_of_different_documents_fold_series_by_series(given_frames: list[Frame]) -> None:
    found = fold_frames(7, given_frames)
    assert found.number == 7
    for key in {key for frame in given_frames for key in frame.rows}:
        known = [band for frame in given_frames if (band := frame.of(key)) is not None]
        assert same(found.of(key), fold(known))
    assert found.of(("C", "")) is None


@FEW
@given(st.lists(st.one_of(st.none(), BANDS), min_size=5, max_size=5))
def test_a_chunk_comes_back_as_it_was(chunk: Chunk) -> None:
    found = unpack(pack(chunk), 5)
    for was, now in zip(chunk, found, strict=True):
        if was is None or all(isnan(value) for value in was.avg):
            assert now is None
        else:
            assert same(was, now)


def test_a_chunk_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="length"):
        unpack(pack([None] * 60), 96)


@FEW
@given(st.lists(st.tuples(st.one_of(st.none(), BANDS), st.one_of(st.none(), BANDS)), max_size=9))
def test_merging_keeps_what_the_new_one_does_not_know(pairs: list[tuple[Band | None, Band | None]]) -> None:
    old, new = [a for a, _ in pairs], [b for _, b in pairs]
    found = merge(old, new)
    assert all(same(each, b if b is not None else a) for each, (a, b) in zip(found, pairs, strict=True))
    assert all(same(a, b) for a, b in zip(merge(found, new), found, strict=True)), "done again: the same"


@FEW
@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 10), st.integers(1, 10))
def test_frames_are_bounded_and_in_order_whatever_the_clock_does(
    numbers: list[int], most: int, most_frames: int
) -> None:
    rows = {("A", ""): 0}
    size = Band.measured([0.0] * WIDTH).size
    kept = Frames(1, most, most_frames * size)
    for number in numbers:
        kept.add(Frame(number, rows, Band.measured([float(number)] * WIDTH)))
        found = [frame.number for frame in kept]
        assert found == sorted(set(found))
        assert found[-1] == number, "nothing is kept from a future that is over"
        assert found[0] > number - most
        assert kept.size == len(found) * size <= most_frames * size
        assert kept.since == found[0]
        assert [f.number for f in kept.within(number - 3, number)] == [n for n in found if n >= number - 3][
            :-1
        ]


def test_a_frame_may_know_the_first_series_only() -> None:
    frame = Frame(1, {("A", ""): 0, ("A", "vna1"): 1}, Band.measured([1.0] * WIDTH))
    assert frame.of(("A", "")) is not None
    assert frame.of(("A", "vna1")) is None
    assert len(METRICS) == WIDTH
