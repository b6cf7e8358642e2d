"""What the probes saw, as frozen values for the rules. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from willis.model.service import Address

Place = tuple[str, Address]
"""An interface of the node, and an address that was asked for there."""


@dataclass(frozen=True, slots=True)
class Link:
    """An interface of the node, as the kernel has it."""

    name: str
    mac: bytes
    """Empty where it is no Ethernet."""
    mtu: int
    """Bytes of an IP packet."""
    carrier: bool
    addresses: frozenset[Address] = frozenset()
    strict: bool = False
    """Whether the reverse path filter is strict there (IPv4)."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A default route of the node."""

    interface: str
    address: Address | None
    """None: everybody is next door."""


class Reply(StrEnum):
    """What came of a TCP SYN. ``passed on``: the host is a router for this address, and not its owner."""

    OPEN = "open"
    CLOSED = "closed"
    FORBIDDEN = "forbidden"
    PASSED_ON = "passed on"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Knock:
    """A SYN to one machine, whatever address is written on it."""

    interface: str
    mac: bytes
    """Of the machine."""
    source: Address
    destination: Address
    port: int


class Size(StrEnum):
    """Which packets a host answered: as large as the interface sends them, small ones only, or none."""

    WHOLE = "whole"
    SMALL = "small"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Settings:
    """Of the node's kernel. Seconds; None where this kernel has none."""

    conntrack_s: int | None = None
    """After which a silent TCP connection is forgotten by stateful firewall rules."""
    keepalive_s: int | None = None
    """Before a silent connection of the proxy is probed."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What the engine knows by itself."""

    ties: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Of services with persistence by address: each tied client's host."""
    active: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Connections open now, by service and host."""


@dataclass(frozen=True, slots=True)
class Seen:
    """All of one examination. What is not there was not looked at."""

    links: Mapping[str, Link] = field(default_factory=dict)
    gateways: tuple[Gateway, ...] = ()
    owners: Mapping[Place, frozenset[bytes]] = field(default_factory=dict)
    """Which MACs answered; an empty set: nobody."""
    replies: Mapping[Knock, Reply] = field(default_factory=dict)
    sizes: Mapping[Address, Size] = field(default_factory=dict)
    skews: Mapping[Address, float] = field(default_factory=dict)
    """By how many seconds a host's clock is ahead of the node's."""
    settings: Settings = Settings()
