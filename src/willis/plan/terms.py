"""How long an order holds: a drain that ends by itself, or turns into a halt once nothing runs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from willis.model.status import Admin, Place


@dataclass(frozen=True, slots=True)
class Term:
    """What becomes of an order by itself. The default: nothing."""

    until: float | None = None
    """Seconds since the epoch at which the place comes back online; None: when somebody says so."""
    halt_when_idle: bool = False
    """A drain becomes a halt as soon as no connection is left."""

    @property
    def open_ended(self) -> bool:
        return self == Term()


def due(
    admin: Mapping[Place, Admin],
    terms: Mapping[Place, Term],
    now: float,
    idle: Callable[[Place], bool],
) -> Iterator[tuple[Place, Admin]]:
    """The orders that are due at ``now``. ``idle``: whether nothing runs at a place any more."""
    for place, term in terms.items():
        if term.until is not None and now >= term.until:
            yield place, Admin.ONLINE
        elif term.halt_when_idle and admin.get(place) is Admin.DRAIN and idle(place):
            yield place, Admin.HALT


def kept(admin: Mapping[Place, Admin], terms: Mapping[Place, Term]) -> dict[Place, Term]:
    """The terms of orders that still hold."""
    return {place: term for place, term in terms.items() if place in admin}
