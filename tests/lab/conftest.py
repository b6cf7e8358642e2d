"""Lab tests send real packets; where this machine cannot build a twin they skip with the reason."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.drill import DRILLS, Drill
from tests.lab.proxy import proxy, servers

__all__ = ["proxy", "servers"]

_LONGEST = (
    "test_verdicts",
    "test_modes",
    "test_last_good",
    "test_twin_modes",
    "test_twin_demo",
    "test_nft",
    "test_bench",
    "test_web",
)
"""Files that begin first, so that none of them runs on alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {name: rank for rank, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(ranks)))


@pytest.fixture(scope="module")
def canon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """The Canon deployment, up and untouched."""
    with Drill.of("canon", tmp_path_factory.mktemp("canon")) as drill:
        yield drill


@pytest.fixture(scope="module")
def echoes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """Small layer-4 services whose servers say their names: one for each question about scheduling."""
    with Drill.of(str(DRILLS / "echoes.yaml"), tmp_path_factory.mktemp("echoes")) as drill:
        yield drill
