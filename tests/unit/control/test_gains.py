"""Rates come from counters, and nothing that begins anew, comes or goes makes more of them."""

from __future__ import annotations

from math import isnan

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import dr, seen, site
from willis.control.frames import METRICS
from willis.control.gains import Reading
from willis.control.loop import Loop
from willis.control.recorder import Recorder
from willis.engines.memory import MemoryEngine
from willis.engines.port import Traffic

MOVES = st.one_of(st.integers(0, 1000), st.sampled_from(["reset", "gone", "late"]))


@settings(max_examples=60)
@given(st.lists(st.tuples(MOVES, MOVES), min_size=1, max_size=25))
def test_no_more_is_told_than_there_was(seconds: list[tuple[int | str, int | str]]) -> None:
    """Two hosts, an engine each: counters grow, begin anew, are gone for a pass, or a pass is late."""
    config = site(dr())
    names = ("vna1", "vna2")
    loop = Loop([MemoryEngine(name, lambda *_: {}) for name in names], config, seen(config))
    recorder = Recorder(loop, dict)
    counters, made, disturbed = dict.fromkeys(names, 5000), 0, False
    for now, moves in enumerate([(0, 0), *seconds]):
        for keeper, name, move in zip(loop.keepers, names, moves, strict=True):
            if isinstance(move, int):
                counters[name] += move
                made += move
            else:
                disturbed = True
                counters[name] = 0 if move == "reset" else counters[name]
            if move != "late":
                counted = {("DicomRouting", name): Traffic(total=counters[name])} if move != "gone" else {}
                keeper.reading = Reading(float(now), counted)
        recorder.tick(1_800_000_000.0 + now, float(now))
    column = METRICS.index("connections")
    found = [f.band.avg[column] for f in recorder.seconds]
    told = sum(value for value in found if not isnan(value))
    assert all(isnan(value) or value >= 0 for value in found)
    if disturbed:
        assert max((v for v in found if not isnan(v)), default=0) <= 2000, "no second has more than it can"
    else:
        assert told == made
