"""What ``willis graph`` draws."""

from __future__ import annotations

from typing import Any

from willis.cli.graph import Metric, drawn, lines, squeezed

BLOCKS = "▁▂▃▄▅▆▇█"


def answer(**metrics: list[float | None]) -> dict[str, Any]:
    nothing: list[float | None] = [None] * len(next(iter(metrics.values())))
    columns = {metric: metrics.get(metric, nothing) for metric in Metric}
    return {
        "service": "Dicom",
        "host": None,
        "begin": 1_800_000_000,
        "step_s": 10,
        "metrics": {m: {"unit": "per second", "avg": v, "min": v, "max": v} for m, v in columns.items()},
    }


def test_a_graph_stands_on_zero_and_gaps_are_blank() -> None:
    assert drawn([0, 1, 2, None, 8], 1, BLOCKS) == ["▁▁▂ █"]
    assert drawn([0, 0], 1, BLOCKS) == ["▁▁"]
    assert drawn([None], 1, BLOCKS) == [" "]
    assert drawn([8, 4, None, 1], 2, BLOCKS) == ["█   ", "██ ▂"]
    assert drawn([8, 4, None, 1], 2, ".:-=+*%#") == ["#   ", "## :"]


def test_many_points_become_few_and_a_gap_is_one_only_if_all_is_missing() -> None:
    assert squeezed([1, 3, None, 5, None, None], 3) == [2, 5, None]
    assert squeezed([1, 2], 80) == [1, 2]
    assert squeezed([], 80) == []


def test_only_what_was_measured_is_drawn() -> None:
    found = list(lines(answer(active=[1, 2, 4], bytes_in=[None, 2000, 8_000_000]), None, 100, unicode=True))
    assert found[0].startswith("Dicom from 20")
    assert [line.split()[0] for line in found[1:]] == ["active", "bytes_in"]
    assert "▂▄█ per second: now 4, mean 2.333, min 1, max 4" in found[1]
    assert "now 8.0 MB, mean 4.0 MB, min 2.0 kB, max 8.0 MB" in found[2]


def test_one_metric_is_drawn_larger_and_without_unicode_in_ascii() -> None:
    found = list(lines(answer(active=[1, 8]), Metric.ACTIVE, 80, unicode=False))
    assert len(found) == 2 + 8
    assert found[2:] == [" #"] * 7 + ["##"]
    assert all(line.isascii() for line in found)


def test_nothing_measured_is_said() -> None:
    assert list(lines(answer(active=[None]), None, 80, unicode=True))[1:] == [
        "nothing was measured in that time"
    ]
