"""How many lines a minute somebody gets to read: a storm must not bury what else is said."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

_MINUTE_S = 60.0


class Budget:
    """At most ``most`` (1 or more) in any minute; what is left out is counted."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._said: deque[float] = deque(maxlen=most)
        self._clock = clock
        self._left_out = 0

    def lets(self) -> bool:
        """Whether one more may be said now. ``told`` says what was left out before."""
        now = self._clock()
        if len(self._said) == self._said.maxlen and now - self._said[0] < _MINUTE_S:
            self._left_out += 1
            return False
        self._said.append(now)
        return True

    def told(self) -> int:
        """How many were left out until now; counting begins anew."""
        found, self._left_out = self._left_out, 0
        return found
