"""What counters grew by: pure, and deaf to counters that begin anew.

Each engine is read on its own: where one begins anew, its counters are unknown for one step while the
other's go on. Of a counter seen for the first time nobody knows since when it grows: it gains nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
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
class Gain:
    """Of one place, or of a whole service."""

    active: int = 0
    """Open at the end."""
    connections: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    known: bool = False
    """Whether ``connections`` and ``bytes_in`` are."""
    out_known: bool = False


def by_place(pair: Pair) -> dict[Place, Gain]:
    """What each place gained."""
    before, after = pair
    found = {}
    for place, now in after.traffic.items():
        found[place] = gain = Gain()
        _add(gain, before.traffic.get(place), now)
    return found


def by_service(pair: Pair) -> dict[str, Gain]:
    """What each service gained. Summed here, since 5,000 servers are read every second."""
    before, after = pair
    found: dict[str, Gain] = {}
    for place, now in after.traffic.items():
        gain = found.get(place[0])
        if gain is None:
            gain = found[place[0]] = Gain()
        _add(gain, before.traffic.get(place), now)
    return found


def _add(gain: Gain, was: Traffic | None, now: Traffic) -> None:
    gain.active += now.active
    if was is None:
        return
    connections, bytes_in = now.total - was.total, now.bytes_in - was.bytes_in
    if connections >= 0 and bytes_in >= 0:
        gain.connections += connections
        gain.bytes_in += bytes_in
        gain.known = True
    if now.bytes_out is not None and was.bytes_out is not None and now.bytes_out >= was.bytes_out:
        gain.bytes_out += now.bytes_out - was.bytes_out
        gain.out_known = True
