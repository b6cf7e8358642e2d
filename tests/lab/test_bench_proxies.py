"""The benches of layer 7 go through once and leave nothing behind."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import pytest
from rich.console import Console, Group

from bench import store
from bench.topology import Unable

pytestmark = pytest.mark.lab


def shown(figures: Group) -> str:
    """As in a terminal of 80 columns."""
    screen = io.StringIO()
    Console(width=80, file=screen).print(figures)
    return screen.getvalue()


def test_a_study_is_stored_by_every_way() -> None:
    with ThreadPoolExecutor(1) as own:  # its thread enters namespaces
        try:
            report = own.submit(store.measure, 10, 1, lambda _: None).result()
        except (Unable, PermissionError) as reason:
            pytest.skip(f"the bench cannot run here: {reason}")
    assert [(row.way, row.cpu is None) for row in report.rows] == [
        ("direct", True),
        *[("by hand", False), ("Willis", False)] * 2,
    ]
    assert "…" not in shown(store.table(report))
