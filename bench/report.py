"""From samples to figures, a table and JSON. Pure.

A chain's own cost is its time less that of the generator with the same kind of sink. Its ratio is
that over plain IP forwarding's own cost in the same round: the median of the rounds, with the least
and the greatest as spread. What a target is about is compared in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from rich import box
from rich.console import Group
from rich.table import Table

from bench.chain import FORWARDING, SKB_ALONE, XDP_ALONE, Case, Sample
from bench.kernel import Hook
from bench.l4 import Results
from bench.program import EMPTY, ESTABLISHED, Probe


@dataclass(frozen=True, slots=True)
class ChainRow:
    """ns a frame; ``ratio`` and its spread in plain IP forwarding; ``arrived`` in per cent.

    ``compared``: the own cost in that of ``beside``, which ``target`` limits.
    """

    path: str
    min: float
    median: float
    max: float
    own: float
    ratio: float
    ratio_least: float
    ratio_most: float
    arrived: float
    beside: str
    compared: float
    target: float | None


@dataclass(frozen=True, slots=True)
class ProgramRow:
    """ns a packet, the wrapper included, over the best of each round; ``own`` is less the empty program.

    ``compared``: the own cost in that of ``beside``, the established packet, where there is a target.
    """

    hook: str
    packet: str
    min: float
    median: float
    max: float
    own: float
    beside: str
    compared: float | None
    target: float | None


@dataclass(frozen=True, slots=True)
class Report:
    rounds: int
    chain: tuple[ChainRow, ...]
    program: tuple[ProgramRow, ...]

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def report(results: Results) -> Report:
    """The figures of a run with at least one round."""
    return Report(
        rounds=len(results.chain[FORWARDING]),
        chain=tuple(_chain_row(case, results) for case in results.chain),
        program=tuple(_program_row(hook, probe, results) for hook, probe in results.program),
    )


def table(figures: Report) -> Group:
    """What a terminal of 80 columns shows."""
    rounds = "1 round" if figures.rounds == 1 else f"{figures.rounds} rounds"
    return Group(
        f"The whole chain, {rounds}: CPU ns a 60-byte UDP frame",
        _chain_table(figures.chain),
        "own: min less the generator's with the same sink; x: own in plain forwarding\n",
        f"The program alone, {rounds}: ns a packet by BPF_PROG_RUN, best of each round",
        _program_table(figures.program),
        "own: min less that of the empty program\n",
        *_verdicts(figures),
    )


def _chain_row(case: Case, results: Results) -> ChainRow:
    samples = results.chain[case]
    costs = [cost for sample in samples for cost in sample.tries]
    base = results.chain[_base(case)]
    ratios = _ratios(case, FORWARDING, results)
    beside = next(other for other in results.chain if other.name == case.beside)
    return ChainRow(
        path=case.name,
        min=min(costs),
        median=median(costs),
        max=max(costs),
        own=_own(samples, base),
        ratio=median(ratios),
        ratio_least=min(ratios),
        ratio_most=max(ratios),
        arrived=100 * sum(s.arrived for s in samples) / sum(s.sent for s in samples),
        beside=case.beside,
        compared=median(_ratios(case, beside, results)),
        target=case.target,
    )


def _ratios(case: Case, other: Case, results: Results) -> list[float]:
    """The own cost of ``case`` in that of ``other``, round by round."""

    def owns(case: Case) -> list[float]:
        pairs = zip(results.chain[case], results.chain[_base(case)], strict=True)
        return [_own([sample], [generator]) for sample, generator in pairs]

    return [ours / theirs for ours, theirs in zip(owns(case), owns(other), strict=True)]


def _base(case: Case) -> Case:
    """The generator alone, with the same kind of sink."""
    return XDP_ALONE if case.hook is Hook.XDP else SKB_ALONE


def _own(samples: Sequence[Sample], base: Sequence[Sample]) -> float:
    return _least(samples) - _least(base)


def _least(samples: Iterable[Sample]) -> float:
    return min(min(sample.tries) for sample in samples)


def _program_row(hook: Hook, probe: Probe, results: Results) -> ProgramRow:
    def best_of(probe: Probe) -> list[float]:
        return [min(tries) for tries in results.program[hook, probe]]

    best, empty, known = best_of(probe), best_of(EMPTY), best_of(ESTABLISHED)
    ratios = [(ours - e) / (theirs - e) for ours, theirs, e in zip(best, known, empty, strict=True)]
    return ProgramRow(
        hook=hook.value,
        packet=probe.name,
        min=min(best),
        median=median(best),
        max=max(best),
        own=min(best) - min(empty),
        beside=ESTABLISHED.name,
        compared=median(ratios) if probe.target else None,
        target=probe.target,
    )


def _chain_table(rows: Iterable[ChainRow]) -> Table:
    shown = _table(("path",), ("min", "median", "max", "own", "x", "spread", "arrived"))
    for row in rows:
        ratios = (f"{row.ratio:.2f}", f"{row.ratio_least:.2f}-{row.ratio_most:.2f}") if row.own else ("", "")
        numbers = (f"{n:.0f}" for n in (row.min, row.median, row.max, row.own))
        shown.add_row(row.path, *numbers, *ratios, f"{row.arrived:.1f} %")
    return shown


def _program_table(rows: Iterable[ProgramRow]) -> Table:
    shown = _table(("hook", "packet"), ("min", "median", "max", "own"))
    for row in rows:
        shown.add_row(row.hook, row.packet, *(f"{n:.0f}" for n in (row.min, row.median, row.max, row.own)))
    return shown


def _table(words: Iterable[str], numbers: Iterable[str]) -> Table:
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    for name in words:
        shown.add_column(name, no_wrap=True)
    for name in numbers:
        shown.add_column(name, justify="right", no_wrap=True)
    return shown


def _verdicts(figures: Report) -> Iterator[str]:
    named = [(row.path, row) for row in figures.chain]
    rows: list[tuple[str, ChainRow | ProgramRow]] = [*named]
    rows += [(f"{row.hook}, {row.packet}", row) for row in figures.program]
    for name, row in rows:
        if row.target is not None and row.compared is not None:
            met = "met" if row.compared <= row.target else "missed"
            yield f"{name}: {row.compared:.2f} x {row.beside}, target {row.target:.2f}: {met}"
