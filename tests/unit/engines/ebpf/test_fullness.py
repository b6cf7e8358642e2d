"""Alarms come before anything is forgotten, and say how full, what then, and what to do."""

from __future__ import annotations

import pytest

from willis.engines.ebpf import fullness, layout


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, False), (layout.FLOWS * 79 // 100, False), (layout.FLOWS * 8 // 10 + 1, True), (layout.FLOWS, True)],
)
def test_from_80_per_cent_on(count: int, said: bool) -> None:
    assert bool(fullness.alarms([(fullness.FLOWS, count)])) == said


def test_the_sentence() -> None:
    [sentence] = fullness.alarms([(fullness.FLOWS, 217_580), (fullness.CLIENTS, 0)])
    assert sentence.startswith("The flow table is 83 % full (217,580 of 262,144): beyond that")
    assert "time-outs" in sentence
