"""The bench runs, its frames arrive, its figures make sense, and it says why where it cannot."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rich.console import Console

from bench import changes, scale
from bench.chain import CASES, FORWARDING
from bench.l4 import Effort, measure
from bench.program import PROBES
from bench.report import Report, report, table
from bench.topology import Unable

_ROOT = Path(__file__).parents[2]
_TINY = Effort(rounds=2, warm_up=2_048, frames=10_240, runs=2_000, tries=2, limit_s=300)

_KINDS = 10
"""Of the services of ``bench changes``."""


@pytest.fixture(scope="module")
def figures() -> Report:
    """A run that is too short to be exact. The bench binds its thread, so it gets one of its own."""
    with ThreadPoolExecutor(1) as own:
        try:
            return report(own.submit(measure, _TINY, lambda _: None).result())
        except (Unable, PermissionError) as reason:
            pytest.skip(f"the bench cannot run here: {reason}")


@pytest.mark.lab
def test_every_frame_arrives_through_every_path(figures: Report) -> None:
    assert [row.path for row in figures.chain] == [case.name for case in CASES]
    assert {row.path: row.arrived for row in figures.chain} == {case.name: 100.0 for case in CASES}


@pytest.mark.lab
def test_figures_hang_together(figures: Report) -> None:
    assert all(0 < row.min <= row.median <= row.max for row in (*figures.chain, *figures.program))
    assert all(row.ratio_least <= row.ratio <= row.ratio_most for row in figures.chain)
    forwarding = next(row for row in figures.chain if row.path == FORWARDING.name)
    assert (forwarding.ratio, forwarding.ratio_least, forwarding.ratio_most) == (1, 1, 1)


@pytest.mark.lab
def test_table_fits_a_terminal(figures: Report) -> None:
    screen = io.StringIO()
    Console(width=80, file=screen).print(table(figures))
    assert "…" not in screen.getvalue()


@pytest.mark.lab
def test_nothing_is_left_mounted(figures: Report) -> None:
    assert figures.rounds == _TINY.rounds
    assert "willis-bench" not in Path("/proc/self/mountinfo").read_text()


@pytest.mark.lab
def test_targets_are_held_against_the_row_they_are_about(figures: Report) -> None:
    rows = {row.path: row for row in figures.chain}
    assert all(row.beside in rows for row in figures.chain)
    assert rows["Willis DR, tcx"].compared == rows["Willis DR, tcx"].ratio
    assert rows["Willis SNAT, persistence"].beside == "nftables SNAT, persistence"
    screen = io.StringIO()
    Console(width=200, file=screen).print(table(figures))
    wanted = sum(case.target is not None for case in CASES) + 2 * sum(p.target is not None for p in PROBES)
    assert screen.getvalue().count(", target ") == wanted


@pytest.mark.lab
def test_scale_goes_through_everything_once() -> None:
    with ThreadPoolExecutor(1) as own:
        try:
            figures = own.submit(scale.measure, 1, lambda _: None).result()
        except (Unable, PermissionError) as reason:
            pytest.skip(f"the bench cannot run here: {reason}")
    assert figures.tries == 1
    assert {each.what for each in figures.times} >= {*scale.TARGETS_S, scale.COMPILE, scale.IDLE}
    assert all(0 < each.min == each.median == each.max for each in figures.times)
    assert all(each.entries > 0 and each.bytes_each > 0 for each in figures.memory)
    screen = io.StringIO()
    Console(width=80, file=screen).print(scale.table(figures))
    assert "…" not in screen.getvalue()
    assert "willis-bench" not in Path("/proc/self/mountinfo").read_text()


@pytest.mark.lab
def test_changes_of_a_few_services_go_through_a_real_engine() -> None:
    """One of each kind of service; so few say nothing of the targets."""
    with ThreadPoolExecutor(1) as own:
        try:
            rows = own.submit(changes.measure, 1, lambda _: None, services=_KINDS).result()
        except (Unable, PermissionError) as reason:
            pytest.skip(f"the bench cannot run here: {reason}")
    assert {row.what for row in rows} == {*changes.TARGETS_S}
    assert all(0 < row.min == row.median == row.max for row in rows)
    assert all(row.ratio > 0 and row.cpu >= 0 for row in rows)
    screen = io.StringIO()
    Console(width=80, file=screen).print(changes.table(rows))
    assert "…" not in screen.getvalue()
    assert "willis-bench" not in Path("/proc/self/mountinfo").read_text()


def _bench(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bench", *arguments]


@pytest.mark.parametrize("arguments", [(), ("l5",), ("l4", "--rounds", "0"), ("l4", "--rounds", "many")])
def test_wrong_usage_exits_2(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        _bench(*arguments), cwd=_ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.lab
def test_where_the_kernel_forbids_it_one_sentence_says_so() -> None:
    if os.geteuid():
        pytest.skip("only root can give its capabilities up")
    powerless = ["setpriv", "--bounding-set", "-all", *_bench("l4")]
    done = subprocess.run(powerless, cwd=_ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert "refused here" in done.stderr
    assert done.stderr.count("\n") == 1
