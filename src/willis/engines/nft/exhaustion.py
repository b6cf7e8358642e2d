"""What is said when connection tracking runs out of room, or SNAT out of source ports.

For each source address, server and port there are about 64,500 source ports (1,024 to
65,535). The kernel says nowhere how many are taken, but it counts every connection that
found none: it is dropped when it is to be entered (``insert_failed``).
"""

from __future__ import annotations

from dataclasses import dataclass

_NEARLY_FULL = 0.8
_ECHO_S = 60.0
"""Seconds for which a failure is told after it was counted last."""


@dataclass(frozen=True, slots=True)
class Fill:
    """How full the table of connections is."""

    entries: int
    limit: int
    """nf_conntrack_max."""
    failed: int
    """Connections since boot that could not be entered (``insert_failed``): their addresses and ports
    were those of another one, which is what SNAT meets when no source port is free."""


@dataclass(slots=True)
class Exhaustion:
    """Follows the counters from one look to the next."""

    _failed: int | None = None
    _lost: int = 0
    _last: float = 0.0

    def look(self, fill: Fill, now: float) -> tuple[str, ...]:
        """Sentences; none if all is well. ``now``: seconds of a clock that only goes forward."""
        if self._failed is not None and fill.failed > self._failed:
            self._lost += fill.failed - self._failed
            self._last = now
        self._failed = fill.failed
        if now - self._last > _ECHO_S:
            self._lost = 0
        return (*_full(fill), *self._ports())

    def _ports(self) -> tuple[str, ...]:
        if not self._lost:
            return ()
        return (
            f"{self._lost} new connections were dropped because no free source port towards their server was "
            f"found; spread the service over more servers, or give services of one server different sources",
        )


def _full(fill: Fill) -> tuple[str, ...]:
    if not fill.limit or fill.entries < _NEARLY_FULL * fill.limit:
        return ()
    return (
        f"connection tracking holds {fill.entries:,} of {fill.limit:,} connections "
        f"({100 * fill.entries // fill.limit} %) and refuses new ones when it is full; "
        f"raise net.netfilter.nf_conntrack_max",
    )
