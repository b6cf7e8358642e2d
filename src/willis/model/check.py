"""Checks: how Willis looks at a real server, and what such a look is about."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address


class CheckKind(StrEnum):
    """``tcp``: connect to port, half-open, so that the server's application sees nothing."""

    TCP = "tcp"


@dataclass(frozen=True, slots=True)
class Check:
    """What is asked of a real server, how often, and how many answers make a verdict."""

    kind: CheckKind = CheckKind.TCP
    interval_s: float = 5.0
    """Seconds between two looks, 0.2 to 3,600."""
    timeout_s: float = 2.0
    """Seconds until a silent server counts as failed, 0.1 to 60."""
    rise: int = 2
    """Successes in a row that bring a server back, 1 to 100."""
    fall: int = 2
    """Failures in a row that take a server out, 1 to 100."""
    port: int | None = None
    """None: the real server's own port."""


@dataclass(frozen=True, slots=True)
class Target:
    """What one check looks at. Services with equal targets share one result."""

    address: IPv4Address | IPv6Address
    port: int
    kind: CheckKind = CheckKind.TCP

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{self.kind}:{host}:{self.port}"
