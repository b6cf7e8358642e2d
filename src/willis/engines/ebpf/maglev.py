"""Maglev: a table of members in which each has its share and few move when one goes.

Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer",
NSDI 2016, section 3.4; weights as turns taken in proportion. The order of the
members changes nothing, so equal pools give equal tables on every node.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b

_SIZES = (1_021, 4_093, 16_381, 65_521)
"""Primes. A table of at least 100 slots a member is balanced within about one per cent."""


def size_for(members: int) -> int:
    """The table's size for a pool."""
    return next((size for size in _SIZES if size >= 100 * members), _SIZES[-1])


def fill(weights: Mapping[str, int], size: int) -> tuple[str, ...]:
    """The table: ``size`` slots, each with a member's name.

    ``weights`` has 1 to ``size`` members with weights above 0; ``size`` is prime.
    """
    return _fill(tuple(sorted(weights.items())), size)


@lru_cache(maxsize=64)  # a site's services often share one pool
def _fill(pool: tuple[tuple[str, int], ...], size: int) -> tuple[str, ...]:
    weights = dict(pool)
    names = list(weights)
    heaviest = max(weights.values())
    orders = [_Preference(name, size) for name in names]
    credit = [0] * len(names)
    slots: list[str | None] = [None] * size
    empty = size
    while True:
        for i, name in enumerate(names):
            credit[i] += weights[name]
            if credit[i] < heaviest:
                continue
            credit[i] -= heaviest
            slots[orders[i].claim(slots)] = name
            empty -= 1
            if not empty:
                return tuple(slot for slot in slots if slot is not None)


class _Preference:
    """The order in which a member wants the slots: from a start, in equal steps."""

    __slots__ = ("_at", "_size", "_step")

    def __init__(self, name: str, size: int) -> None:
        self._size = size
        self._at = _digest(name, b"start") % size
        self._step = _digest(name, b"step") % (size - 1) + 1

    def claim(self, slots: list[str | None]) -> int:
        """The first free slot in this order. There must be one."""
        at = self._at
        while slots[at] is not None:
            at = (at + self._step) % self._size
        self._at = at
        return at


def _digest(name: str, key: bytes) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8, key=key).digest())
