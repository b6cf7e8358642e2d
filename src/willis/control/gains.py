"""What counters grew by: pure, and deaf to counters that begin anew.

Each engine is read on its own: where one begins anew, its counters are unknown for one step while the
other's go on. Of a counter seen for the first time nobody knows since when it grows: it gains nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from willis.engines.port import Traffic

Place = tuple[str, str]
"""A service and a host."""

_STALE_S = 3.0
"""A reading older than this says nothing about now."""


@dataclass(frozen=True, slots=True)
class Reading:
    """An engine's counters as of one moment."""

    at: float = 0.0
    """Seconds of a clock that never goes back."""
    traffic: Mapping[Place, Traffic] = field(default_factory=dict)


Pair = tuple[Reading, Reading]


class Pairs:
    """The readings between which a step lies, by engine."""

    def __init__(self) -> None:
        self._pairs: dict[str, Pair] = {}

    def next(self, engine: str, newest: Reading, now: float) -> Pair | None:
        """From the last step's reading to the newest one; None: nothing is known of this step.

        An engine whose next pass is a little late keeps the pair of the step before.
        """
        known = self._pairs.get(engine, (newest, newest))
        if known[1] is not newest:
            known = (known[1], newest)
        self._pairs[engine] = known
        return None if known[0] is newest or now - newest.at > _STALE_S else known


@dataclass(slots=True)
class Gains:
    """Of many series, by their rows: sums of the places that belong to each."""

    seen: list[bool]
    """Whether ``active`` is known."""
    active: list[int]
    """Open at the end."""
    counted: list[bool]
    """Whether ``connections`` and ``bytes_in`` are known."""
    connections: list[int]
    bytes_in: list[int]
    counted_out: list[bool]
    """Whether ``bytes_out`` is known."""
    bytes_out: list[int]


def gains(pair: Pair, rows: Mapping[Place, Sequence[int]], count: int) -> Gains:
    """What ``count`` series gained. ``rows``: the series that a place belongs to, such as its service.

    Written out in one loop, since it goes over all places every second.
    """
    before, after = pair[0].traffic.get, pair[1].traffic
    seen, counted, counted_out = [False] * count, [False] * count, [False] * count
    active, connections, bytes_in, bytes_out = [0] * count, [0] * count, [0] * count, [0] * count
    for place, now in after.items():
        was, out = before(place), now.bytes_out
        for row in rows.get(place, ()):
            seen[row] = True
            active[row] += now.active
            if was is None:
                continue
            made, size = now.total - was.total, now.bytes_in - was.bytes_in
            if made >= 0 and size >= 0:
                counted[row] = True
                connections[row] += made
                bytes_in[row] += size
            if out is not None and was.bytes_out is not None and out >= was.bytes_out:
                counted_out[row] = True
                bytes_out[row] += out - was.bytes_out
    return Gains(seen, active, counted, connections, bytes_in, counted_out, bytes_out)


def added(column: list[float], gained: list[int], known: list[bool], seconds: float) -> list[float]:
    """A column with what one more engine knows, by the second. NaN: nothing is known."""
    return [
        value if not is_known else gain / seconds if value != value else value + gain / seconds
        for value, gain, is_known in zip(column, gained, known, strict=True)
    ]
