"""``./dev bench l4``: layer 4 against its anchors, all in one interleaved run.

Each round goes once over all cases, each on freshly made namespaces with freshly loaded
programs, so that what the machine does meanwhile falls on all of them alike.
"""

from __future__ import annotations

import gzip
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench import chain, program
from bench.kernel import Hook, build
from bench.topology import Unable, need, private_bpffs

_TOOLS = ("clang", "ip", "bridge", "ethtool", "nft")


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured. A round is begun only within ``limit_s`` seconds of the start."""

    rounds: int
    warm_up: int
    frames: int
    runs: int
    tries: int
    limit_s: float


FULL = Effort(rounds=4, warm_up=70_000, frames=200_000, runs=400_000, tries=3, limit_s=130)
QUICK = Effort(rounds=2, warm_up=20_000, frames=60_000, runs=100_000, tries=3, limit_s=18)


@dataclass(slots=True)
class Results:
    """What was measured, by case and round."""

    chain: dict[chain.Case, list[chain.Sample]] = field(default_factory=dict)
    program: dict[tuple[Hook, program.Probe], list[tuple[float, ...]]] = field(default_factory=dict)


def measure(effort: Effort, tell: Callable[[str], None]) -> Results:
    """Measure on one CPU, in the calling thread, which stays bound to it in a mount namespace of its own.

    ``tell`` hears of each round. Raises Unable, in one sentence, where the machine does not allow it.
    """
    _need()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    results, end = Results(), time.monotonic() + effort.limit_s
    with tempfile.TemporaryDirectory(prefix="willis-bench-") as folder, private_bpffs() as bpffs:
        programs = build(Path(folder))
        for number in range(effort.rounds):
            if time.monotonic() > end:
                tell(f"stopped after {number} rounds: {effort.limit_s:.0f} s have passed")
                break
            tell(f"round {number + 1} of {effort.rounds}")
            _round(effort, programs, bpffs, results)
    return results


def _round(effort: Effort, programs: bytes, bpffs: Path, results: Results) -> None:
    for case in chain.CASES:
        one = chain.sample(case, programs, bpffs, effort.warm_up, effort.frames, effort.tries)
        results.chain.setdefault(case, []).append(one)
    for hook in Hook:
        for probe, costs in program.sample(hook, programs, bpffs, effort.runs, effort.tries).items():
            results.program.setdefault((hook, probe), []).append(costs)


def _need() -> None:
    """Raise Unable unless everything is there that can be seen beforehand."""
    need(*_TOOLS)
    if "CONFIG_IRQ_TIME_ACCOUNTING=y" in _kernel_config():
        raise Unable(
            "This kernel accounts interrupts apart (CONFIG_IRQ_TIME_ACCOUNTING), so the CPU time of a thread"
            " does not hold what its packets cost; use a kernel without it, such as Debian's."
        )


def _kernel_config() -> str:
    """The kernel's build configuration; empty where it is not published."""
    compressed, plain = Path("/proc/config.gz"), Path(f"/boot/config-{platform.release()}")
    if compressed.exists():
        return gzip.decompress(compressed.read_bytes()).decode()
    return plain.read_text() if plain.exists() else ""
