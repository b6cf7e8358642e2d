"""``python -m bench WHAT [--json] [--rounds N] [--quick]``: run from the repository's root.

WHAT is l4, l7, store, scale, failover, checks, flap, history, changes or stream.

Exit codes: 0 done, 1 not possible here (one sentence says why), 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace

from rich.console import Console, RenderableType

from bench import changes, checks, failover, flap, history, l7, scale, store, stream
from bench.l4 import FULL, QUICK, measure
from bench.report import report, table
from bench.topology import Unable
from willis.engines.port import EngineError
from willis.lab.errors import LabError

Tell = Callable[[str], None]

_MOST_ROUNDS = 100


def main() -> int:
    options = _options()
    progress = Console(stderr=True)
    try:
        figures, shown = _BENCHES[options.what](options, progress.print)
    except (Unable, EngineError, LabError) as reason:
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
        print(json.dumps(figures, indent=2))
    else:
        Console().print(shown)
    return 0


def _l4(options: argparse.Namespace, tell: Tell) -> tuple[dict[str, object], RenderableType]:
    effort = QUICK if options.quick else FULL
    if options.rounds:
        # Asked for by number, the rounds are all done, however long they take.
        effort = replace(effort, rounds=options.rounds, limit_s=float("inf"))
    figures = report(measure(effort, tell))
    return figures.as_json(), table(figures)


def _failover(options: argparse.Namespace, tell: Tell) -> tuple[dict[str, object], RenderableType]:
    rows = failover.measure(options.rounds or (2 if options.quick else 6), tell)
    return failover.as_json(rows), failover.table(rows)


def _scale(options: argparse.Namespace, tell: Tell) -> tuple[dict[str, object], RenderableType]:
    figures = scale.measure(options.rounds or (1 if options.quick else 3), tell)
    return figures.as_json(), scale.table(figures)


def _l7(options: argparse.Namespace, tell: Tell) -> tuple[dict[str, object], RenderableType]:
    figures = l7.measure(options.rounds or (1 if options.quick else 7), tell)
    return figures.as_json(), l7.table(figures)


def _checks(options: argparse.Namespace, tell: Tell) -> tuple[dict[str, object], RenderableType]:
    figures = checks.measure(options.rounds or (1 if options.quick else 3), tell)
    return checks.as_json(figures), checks.table(figures)


def _flap(options: argparse.Namespace, tell: Tell) -> tuple[dict[str, object], RenderableType]:
    figures = flap.measure(tell, seconds=10.0 * (options.rounds or (1 if options.quick else 3)))
    return flap.as_json(figures), flap.table(figures)


def _history(options: argparse.Namespace, tell: Tell) -> tuple[dict[str, object], RenderableType]:
    seconds, steps = (60, 60) if options.quick else (120 * (options.rounds or 1), 370 * (options.rounds or 1))
    figures = history.measure(seconds, steps, tell)
    return figures.as_json(), history.table(figures)


def _stream(options: argparse.Namespace, tell: Tell) -> tuple[dict[str, object], RenderableType]:
    rows = stream.measure(5.0 if options.quick else 20.0 * (options.rounds or 1), tell)
    return stream.as_json(rows), stream.table(rows)


def _store(options: argparse.Namespace, tell: Tell) -> tuple[dict[str, object], RenderableType]:
    figures = store.measure(
        100 if options.quick else 500, options.rounds or (1 if options.quick else 3), tell
    )
    return figures.as_json(), store.table(figures)


def _changes(options: argparse.Namespace, tell: Tell) -> tuple[dict[str, object], RenderableType]:
    rows = changes.measure(options.rounds or (1 if options.quick else 3), tell)
    return changes.as_json(rows), changes.table(rows)


_BENCHES = {
    "l4": _l4,
    "l7": _l7,
    "store": _store,
    "scale": _scale,
    "failover": _failover,
    "checks": _checks,
    "flap": _flap,
    "history": _history,
    "changes": _changes,
    "stream": _stream,
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Measure Willis against its anchors.")
    parser.add_argument(
        "what",
        choices=list(_BENCHES),
        help="l4: cost of a packet beside plain forwarding; "
        " l7: the proxy beside one tuned by hand; store: a CT study directly and through it;"
        " scale: time to apply 1,000 services;"
        " failover: how long clients meet a killed server; checks: what looking costs;"
        " flap: what 1,000 flapping servers cost; history: what recording costs;"
        " changes: how long a change of 500 services takes;"
        " stream: what followers of the live stream cost",
    )
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.add_argument("--quick", action="store_true", help="under 40 s, coarser")
    parser.add_argument("--rounds", type=_rounds, help=f"rounds over everything, 1 to {_MOST_ROUNDS}")
    return parser.parse_args()


def _rounds(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MOST_ROUNDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {_MOST_ROUNDS}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
