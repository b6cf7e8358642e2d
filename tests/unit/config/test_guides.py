"""The documents in the guide to checks are sound, without a warning."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from willis import config

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "checks.md"
DOCUMENTS = re.findall(r"```yaml\n(version:.*?)```", GUIDE.read_text(), re.DOTALL)


def test_they_are_there() -> None:
    assert len(DOCUMENTS) == 2


@pytest.mark.parametrize("document", DOCUMENTS)
def test_it_loads_and_comes_back(document: str) -> None:
    loaded = config.load(document)
    assert loaded.problems == ()
    assert loaded.config is not None
    assert config.load(config.write(loaded.config)).config == loaded.config
