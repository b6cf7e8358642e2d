"""How much a second: bytes and new connections of each service, from counters that only grow."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from willis.engines.port import Traffic

Totals = Mapping[str, Traffic]


@dataclass(frozen=True, slots=True)
class Rate:
    """A second's worth, averaged over the last samples."""

    connections: float = 0.0
    bytes_in: float = 0.0
    bytes_out: float | None = None
    """None where replies do not pass the node (DR)."""


class Rates:
    """Remembers totals over some seconds."""

    def __init__(self, samples: int = 6) -> None:
        self._samples: deque[tuple[float, Totals]] = deque(maxlen=samples)

    def sample(self, now: float, totals: Totals) -> None:
        """Note the totals by service. ``now``: seconds of a clock that never goes back."""
        self._samples.append((now, totals))

    def of(self, service: str) -> Rate:
        """Between the first and the last sample that know the service. Counters begun anew count as none."""
        known = [(at, totals[service]) for at, totals in self._samples if service in totals]
        if len(known) < 2 or known[-1][0] <= known[0][0]:
            return Rate()
        (began, first), (ended, last) = known[0], known[-1]
        seconds = ended - began

        def a_second(before: int, after: int) -> float:
            return max(0.0, (after - before) / seconds)

        outs = None
        if first.bytes_out is not None and last.bytes_out is not None:
            outs = a_second(first.bytes_out, last.bytes_out)
        return Rate(a_second(first.total, last.total), a_second(first.bytes_in, last.bytes_in), outs)
