"""``python -m bench l4 [--json] [--rounds N] [--quick]``: run from the repository's root.

Exit codes: 0 done, 1 not possible here (one sentence says why), 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace

from rich.console import Console

from bench.l4 import FULL, QUICK, measure
from bench.report import report, table
from bench.topology import Unable
from willis.engines.port import EngineError

_MOST_ROUNDS = 100


def main() -> int:
    options = _options()
    effort = QUICK if options.quick else FULL
    if options.rounds:
        # Asked for by number, the rounds are all done, however long they take.
        effort = replace(effort, rounds=options.rounds, limit_s=float("inf"))
    progress = Console(stderr=True)
    try:
        figures = report(measure(effort, progress.print))
    except (Unable, EngineError) as reason:
        progress.print(str(reason), markup=False, soft_wrap=True)
        return 1
    except OSError as error:
        progress.print(
            f"The kernel refuses the bench ({error}); it takes root, namespaces and the eBPF of Linux 6.6.",
            markup=False,
            soft_wrap=True,
        )
        return 1
    if options.json:
        print(json.dumps(figures.as_json(), indent=2))
    else:
        Console().print(table(figures))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Measure Willis against its anchors.")
    parser.add_argument("what", choices=["l4"], help="layer 4: cost of a packet beside plain forwarding")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.add_argument("--quick", action="store_true", help="under 30 s, coarser")
    parser.add_argument("--rounds", type=_rounds, help=f"rounds over all cases, 1 to {_MOST_ROUNDS}")
    return parser.parse_args()


def _rounds(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MOST_ROUNDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {_MOST_ROUNDS}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
