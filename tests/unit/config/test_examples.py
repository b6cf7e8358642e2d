"""The documents that users start from are sound, and without as much as a warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from willis import config, templates

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_they_are_there() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} >= {"canon.yaml", "dicom-and-web.yaml", "minimal.yaml"}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_it_loads(path: Path) -> None:
    loaded = config.load(path.read_text())
    assert loaded.problems == () and loaded.config is not None
    assert config.load(config.write(loaded.config)).config == loaded.config


def test_canon_is_what_the_template_renders() -> None:
    assert (EXAMPLES / "canon.yaml").read_text() == templates.render("canon", {})
