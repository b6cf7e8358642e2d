"""Servers that come and go all the time: the engine's work stays bounded, and it ends well."""

from __future__ import annotations

import pytest

from bench import flap

pytestmark = pytest.mark.lab

_SECONDS = 4.0
_ENGINES, _A_SECOND, _BY_THEMSELVES = 3, 10, 1


def test_a_storm_of_verdicts_costs_few_passes_and_few_words() -> None:
    figures = flap.measure(lambda _: None, servers=100, seconds=_SECONDS)
    assert figures.verdicts > 100, "it was a storm"
    assert figures.passes <= _ENGINES * (_A_SECOND + _BY_THEMSELVES) * (_SECONDS + 1)
    minutes = -(-figures.minutes // 1)
    assert 0 < figures.alarms <= 10 * minutes
    assert 0 < figures.lines <= 10 * (_ENGINES + 1) * minutes + 10, "of each engine and of events"
