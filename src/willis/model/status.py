"""Status: all that was learnt or decided while running: verdicts and administrative states.

Config and Status are the two inputs of every compiler and are never one type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from willis.model.check import Target


class Verdict(StrEnum):
    """What the checks say of a real server.

    ``failing``: it answers that it cannot do its work; ``misconfigured``: that it will not
    do what the check asks.
    """

    UP = "up"
    BUSY = "busy"
    FAILING = "failing"
    HUNG = "hung"
    DEAD = "dead"
    MISCONFIGURED = "misconfigured"
    UNKNOWN = "unknown"


class Admin(StrEnum):
    """What an administrator wants of a real server.

    ``drain``: no new connections, running ones finish. ``halt``: none at all.
    """

    ONLINE = "online"
    DRAIN = "drain"
    HALT = "halt"


@dataclass(frozen=True, slots=True)
class Health:
    """The verdict on one target, with its reason in one sentence."""

    verdict: Verdict = Verdict.UNKNOWN
    reason: str = "not checked yet"
    since: float = 0.0
    """Seconds since the epoch at which the verdict last changed."""
    held: bool = False
    """The verdict is bad although it answers again: it fell too often lately to be trusted yet."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where an administrative state applies: a host in all its services, or in one of them."""

    host: str
    service: str | None = None

    def __str__(self) -> str:
        return self.host if self.service is None else f"{self.service}/{self.host}"


@dataclass(frozen=True, slots=True)
class Status:
    """Verdicts by target and administrative states by place; what is not there is unknown or online."""

    health: Mapping[Target, Health] = field(default_factory=lambda: MappingProxyType({}))
    admin: Mapping[Place, Admin] = field(default_factory=lambda: MappingProxyType({}))
    shares: Mapping[Place, float] = field(default_factory=lambda: MappingProxyType({}))
    """Of their weight that servers get now, above 0 to 1; who is not there gets all of it."""
    full: frozenset[Place] = frozenset()
    """Servers above the watermark of their service."""
    away: frozenset[Place] = frozenset()
    """Servers that want no new connections by their own word; the last of a pool is not heard."""
    busy: Mapping[Place, Health] = field(default_factory=lambda: MappingProxyType({}))
    """Servers that lately refused what clients asked of them, whatever their checks say."""
    paths: Mapping[Place, Health] = field(default_factory=lambda: MappingProxyType({}))
    """Servers of direct routing that clients do not reach by the VIP, or of which it is not known yet."""
    pools: dict[str, tuple[object, object]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """What ``plan.members`` concluded from all this, by service; only that reads and writes it."""
