"""What was concluded from the same objects is not concluded again."""

from __future__ import annotations

from tests.builders import dr, site
from willis.model.config import Config
from willis.plan.remembered import remembered


def test_the_same_object_is_the_same_question_and_an_equal_one_another() -> None:
    asked: list[str] = []

    @remembered
    def names(config: Config, *, prefix: str = "") -> list[str]:
        """Of the services."""
        asked.append(prefix)
        return [prefix + service.name for service in config.services]

    config = site(dr("A"))
    assert names(config) is names(config)
    assert names(config, prefix="x") == ["xA"]
    assert names(config, prefix="x") == ["xA"]
    assert names(config) == ["A"]
    assert asked == ["", "x"]
    assert names(site(dr("A"))) == ["A"]
    assert asked == ["", "x", ""]
    assert names(config, prefix="x") == ["xA"]
    assert asked == ["", "x", ""], "what was asked last before it is still known"
    assert names.__doc__ == "Of the services."


def test_failures_are_not_remembered() -> None:
    answers = iter([ValueError("not yet"), 5])

    @remembered
    def later() -> int:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    try:
        later()
    except ValueError:
        assert later() == later() == 5
