"""The documents that users start from are sound, and without a warning but for what they are about."""

from __future__ import annotations

from pathlib import Path

import pytest

from willis import config, templates

EXAMPLES = Path(__file__).parents[3] / "examples"


WARNINGS = {
    "all-modes": [
        ("services.Teaching.forwarding", "In NAT the answers of pacs1, pacs2 must return through the node")
    ]
}
"""What is left to the network."""


def test_they_are_there() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} >= {
        "all-modes.yaml",
        "canon.yaml",
        "dicom-and-web.yaml",
        "minimal.yaml",
    }


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_it_loads(path: Path) -> None:
    loaded = config.load(path.read_text())
    assert loaded.config is not None
    for problem, (where, what) in zip(loaded.problems, WARNINGS.get(path.stem, []), strict=True):
        assert problem.path == where and problem.what.startswith(what)
    assert config.load(config.write(loaded.config)).config == loaded.config


def test_canon_is_what_the_template_renders() -> None:
    assert (EXAMPLES / "canon.yaml").read_text() == templates.render("canon", {})
