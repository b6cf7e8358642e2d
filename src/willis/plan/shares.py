"""How much a server gets: of its weight when it has just come back, and of connections in all. Pure.

A viewer that has just started fills its caches; with least connections alone every new
client would be sent to it at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from willis.model.check import Target
from willis.model.config import Config
from willis.model.service import VirtualService
from willis.model.status import Place
from willis.plan.members import target

_STEPS = 10
"""A share grows in tenths, so that a slow start is ten changes and not hundreds."""


@dataclass(slots=True)
class Returns:
    """When servers came back. Seconds since the epoch."""

    recovered: dict[Target, float] = field(default_factory=dict)
    """By their checks."""
    ordered: dict[Place, float] = field(default_factory=dict)
    """From a drain or halt."""


def shares(config: Config, returns: Returns, now: float) -> Mapping[Place, float]:
    """The shares that are less than whole at ``now``."""
    return {
        place: share
        for service in config.services
        if service.slow_start_s
        for place, since in _since(service, returns)
        if (share := _grown(now - since, service.slow_start_s)) < 1
    }


def _since(service: VirtualService, returns: Returns) -> Iterator[tuple[Place, float]]:
    for server in service.pool:
        place = Place(server.host, service.name)
        found = (
            returns.recovered.get(target(service, server)),
            returns.ordered.get(Place(server.host)),
            returns.ordered.get(place),
        )
        since = max((at for at in found if at is not None), default=None)
        if since is not None:
            yield place, since


def _grown(elapsed_s: float, over_s: int) -> float:
    steps = int(max(0.0, elapsed_s) / over_s * _STEPS) + 1
    return min(steps, _STEPS) / _STEPS


def full(config: Config, before: frozenset[Place], active: Mapping[Place, int]) -> frozenset[Place]:
    """The servers that are above their watermark, or were and have not come below the low one yet."""
    return frozenset(
        place
        for service in config.services
        if service.watermarks is not None
        for place in (Place(server.host, service.name) for server in service.pool)
        if active.get(place, 0) >= service.watermarks.high
        or (place in before and active.get(place, 0) > service.watermarks.low)
    )
