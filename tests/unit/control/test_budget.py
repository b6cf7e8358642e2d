"""Ten lines a minute, and a count of the rest."""

from __future__ import annotations

from willis.control.budget import Budget


def test_what_is_too_much_is_counted_and_told_with_the_next() -> None:
    now = 0.0
    budget = Budget(2, lambda: now)
    assert [budget.lets() for _ in range(5)] == [True, True, False, False, False]
    now = 60.0
    assert budget.lets()
    assert (budget.told(), budget.told()) == (3, 0)
