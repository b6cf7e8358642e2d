"""How loud checks are."""

from __future__ import annotations

from willis.model.check import Check, CheckKind, Deep, Dicom, Fixed, HalfOpen, Http
from willis.plan.noise import lines_a_day


def test_half_open_is_silent() -> None:
    assert lines_a_day(Check(HalfOpen(), interval_s=1)) == 0
    assert lines_a_day(Check(Fixed(), interval_s=1)) == 0


def test_a_deep_question_counts_as_often_as_it_is_asked() -> None:
    assert lines_a_day(Check(Dicom(), interval_s=10)) == 6 * 8640
    assert lines_a_day(Check(Http(CheckKind.HTTP), interval_s=5)) == 17_280
    assert lines_a_day(Check(HalfOpen(), interval_s=1, deep=Deep(Dicom(), every=9))) == 6 * 8640
