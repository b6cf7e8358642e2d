"""Counters that go on over reloads. Pure.

Each worker counts from zero. So what the current worker and the old ones report is
added up, and what an ended worker last reported is kept. Bytes that an old worker
moved between our last look and its end are missed; counters begin anew with the engine.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from willis.engines.haproxy.state import FALLBACK
from willis.engines.port import Traffic

Counters = dict[tuple[str, str], Traffic]


class Ledger:
    """Adds up the counters of all workers there ever were."""

    def __init__(self) -> None:
        self._ended: Counters = {}
        self._last: dict[int, Counters] = {}

    def add(self, readings: Mapping[int, Counters]) -> Counters:
        """Totals after ``readings``: what each living worker (by process id) reports now.

        One that says nothing this time stands where it was: counted as ended, it would count twice.
        """
        readings = {pid: counters or self._last.get(pid, {}) for pid, counters in readings.items()}
        for gone in self._last.keys() - readings.keys():
            finished = {k: replace(t, active=0) for k, t in self._last[gone].items()}
            self._ended = _sum((self._ended, finished))
        self._last = readings
        return _sum((self._ended, *readings.values()))


def parse(report: str) -> Counters:
    """The answer to ``show stat -1 4 -1`` by (service, host); a fallback server counts for its host.

    Nothing from a worker that is gone.
    """
    if not report.startswith("# pxname"):
        return {}
    head, *rows = csv.reader(report.removeprefix("# ").splitlines())
    at = [head.index(name) for name in _COLUMNS]
    return _sum(_read([row[i] for i in at]) for row in rows if row)


_COLUMNS = ("pxname", "svname", "scur", "stot", "bin", "bout")


def _read(row: Sequence[str]) -> Counters:
    service, server, *numbers = row
    return {(service, server.removeprefix(FALLBACK)): Traffic(*map(int, numbers))}


def _sum(parts: Iterable[Counters]) -> Counters:
    total: Counters = {}
    for counters in parts:
        for key, one in counters.items():
            so_far = total.get(key, Traffic(bytes_out=0))
            total[key] = Traffic(
                so_far.active + one.active,
                so_far.total + one.total,
                so_far.bytes_in + one.bytes_in,
                (so_far.bytes_out or 0) + (one.bytes_out or 0),
            )
    return total
