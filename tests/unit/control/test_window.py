"""The last minute of a service."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from willis.control.window import Window
from willis.model.access import Access, AccessKind


def access(duration_ms: int, ok: bool = True, at: float = 1000.0) -> Access:
    return Access(AccessKind.HTTP, "Web", at, "198.51.100.7", "complete", ok, duration_ms=duration_ms)


def test_a_minute_is_forgotten_after_a_minute() -> None:
    window = Window()
    window.add(access(5))
    window.add(access(5, ok=False, at=1030.0))
    assert (window.summary(1030.0).count, window.summary(1030.0).failed) == (2, 1)
    assert window.summary(1065.0).count == 1
    assert window.summary(1200.0).count == 0
    assert window.summary(1200.0).p50_ms is None


def test_late_lines_count_when_they_ended() -> None:
    window = Window()
    window.add(access(5, at=1030.0))
    window.add(access(5, at=1001.0))
    window.add(access(5, at=1029.0))
    assert window.summary(1030.0).count in (1, 2), "what is older than all that is remembered is left out"
    assert window.summary(1200.0).count == 0


@given(st.lists(st.integers(0, 10_000_000), min_size=1, max_size=200))
def test_percentiles_are_right_to_eight_percent(durations: list[int]) -> None:
    window = Window()
    for each in durations:
        window.add(access(each))
    found = window.summary(1000.0)
    ordered = sorted(durations)
    for share, shown in ((0.5, found.p50_ms), (0.95, found.p95_ms), (0.99, found.p99_ms)):
        exact = ordered[max(0, -int(-len(ordered) * share // 1) - 1)]
        assert shown is not None
        assert exact - 0.1 <= shown <= exact * 1.08 + 0.2
