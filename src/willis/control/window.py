"""What happened in the last minute, in slots of five seconds: counts, and how long things took.

Durations fall into buckets, each 8 % wider than the one before, so a percentile is known
to 8 % whatever the number of requests, and a slot takes no more than some hundred numbers.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass, field

from willis.model.access import Access

_SLOT_S = 5
_SLOTS = 12
_GROWTH = math.log(1.08)


@dataclass(slots=True)
class _Slot:
    number: int
    """Seconds since the epoch, divided by the slot's length."""
    count: int = 0
    failed: int = 0
    durations: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Summary:
    """The last minute of one service."""

    count: int
    """Requests, connections or associations that ended."""
    failed: int
    p50_ms: float | None
    """Half took no longer; None: there was none."""
    p95_ms: float | None
    p99_ms: float | None


class Window:
    """One service's last minute."""

    def __init__(self) -> None:
        self._slots: deque[_Slot] = deque(maxlen=_SLOTS)

    def add(self, access: Access) -> None:
        """Count one more, when it ended. What is older than all that is remembered is not counted."""
        slot = self._slot(int(access.at) // _SLOT_S)
        if slot is None:
            return
        slot.count += 1
        slot.failed += not access.ok
        slot.durations[_bucket(access.duration_ms)] += 1

    def _slot(self, number: int) -> _Slot | None:
        """Lines of several processes come mixed, and late ones too."""
        if not self._slots or self._slots[-1].number < number:
            self._slots.append(_Slot(number))
        return next((slot for slot in reversed(self._slots) if slot.number <= number), None)

    def summary(self, now: float) -> Summary:
        """The last 55 to 60 seconds."""
        oldest = int(now) // _SLOT_S - _SLOTS
        slots = [slot for slot in self._slots if slot.number > oldest]
        durations: Counter[int] = Counter()
        for slot in slots:
            durations.update(slot.durations)
        return Summary(
            sum(slot.count for slot in slots),
            sum(slot.failed for slot in slots),
            *(percentile(durations, share) for share in (0.50, 0.95, 0.99)),
        )


def percentile(durations: Counter[int], share: float) -> float | None:
    """Milliseconds that ``share`` of the durations did not exceed, to 8 %."""
    left = math.ceil(durations.total() * share)
    for bucket in sorted(durations):
        left -= durations[bucket]
        if left <= 0:
            return round(math.exp(bucket * _GROWTH) - 1, 1)
    return None


def _bucket(milliseconds: int) -> int:
    return math.ceil(math.log1p(milliseconds) / _GROWTH)
