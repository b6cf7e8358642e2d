"""Slows whoever guesses: a few tries are free, then each costs twice the wait of the one before.

Nobody is locked out for good, and the console asks for no password at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

_LONGEST_S = 300.0
_FORGOTTEN_S = 3600.0
_MOST = 10_000
"""Names and addresses remembered at once; the oldest are forgotten first."""


class Slowed(Exception):
    """Too many tries failed."""

    def __init__(self, wait_s: float) -> None:
        self.wait_s = math.ceil(wait_s)
        super().__init__(f"too many tries failed; wait {self.wait_s} s")


@dataclass(slots=True)
class _Tries:
    count: int
    last: float
    until: float = 0.0


class Backoff:
    """Of names, or of addresses. A try counts from its begin, so that many at once gain nothing."""

    def __init__(self, free: int, clock: Callable[[], float]) -> None:
        """``free``: tries without a wait. ``clock``: seconds."""
        self._free = free
        self._clock = clock
        self._known: dict[str, _Tries] = {}

    def begin(self, key: str) -> None:
        """Count a try. Raises Slowed, and counts nothing, while ``key`` has to wait."""
        now = self._clock()
        tries = self._known.pop(key, None)
        if tries is None or now - tries.last > _FORGOTTEN_S:
            tries = _Tries(0, now)
        self._known[key] = tries
        if now < tries.until:
            raise Slowed(tries.until - now)
        tries.count, tries.last = tries.count + 1, now
        if tries.count >= self._free:
            tries.until = now + min(_LONGEST_S, 2.0 ** min(tries.count - self._free, 30))
        if len(self._known) > _MOST:
            del self._known[next(iter(self._known))]

    def give_back(self, key: str) -> None:
        """The try was no wrong guess."""
        tries = self._known.get(key)
        if tries is not None and tries.count > 0:
            tries.count -= 1
            if tries.count < self._free:
                tries.until = 0.0

    def forget(self, key: str) -> None:
        """Its owner is in: all tries before are forgiven."""
        self._known.pop(key, None)
