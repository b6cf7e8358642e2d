"""What the layer-4 engine holds: the frozen values behind its artefact keys.

    attach/INTERFACE        Attachment       where the program sits
    service/NAME            ServiceEntry     what clients connect to
    member/SERVICE/HOST     MemberEntry      a real server, and what it may carry
    fallback/SERVICE        FallbackEntry    who serves when no member can
    table/SERVICE           TableEntry       how new connections are shared out

A member's weight stands in the table alone, because the table is where it acts.
"""

from __future__ import annotations

from dataclasses import dataclass

from willis.model.node import Attach
from willis.model.persistence import SourcePersistence
from willis.model.service import Address, Protocol, Scheduler, Timeouts
from willis.plan.members import Standing


@dataclass(frozen=True, slots=True)
class Attachment:
    """The hooks of one interface that the program is attached to: one, or both while they change."""

    hooks: tuple[Attach, ...]


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    """A virtual service's ports and how they are treated."""

    vip: Address
    protocol: Protocol
    ports: tuple[int, ...]
    persistence: SourcePersistence | None
    translated: bool = False
    """NAT or SNAT: every member has a mark, and nftables translates by it."""
    one_packet: bool = False
    timeouts: Timeouts = Timeouts()


@dataclass(frozen=True, slots=True)
class MemberEntry:
    """A real server of a pool and the way to it: an interface, or the mark that nftables translates by."""

    address: Address
    interface: str
    """Empty where there is a mark: the route is the stack's."""
    standing: Standing
    mark: int = 0
    """0: direct routing."""


@dataclass(frozen=True, slots=True)
class FallbackEntry:
    """The fallback server; its standing is administrative alone, since it is not checked."""

    host: str
    address: Address
    interface: str
    standing: Standing
    mark: int = 0


@dataclass(frozen=True, slots=True)
class Share:
    """One member's part of the new connections."""

    host: str
    address: Address
    weight: int
    """1 to 256."""
    mark: int = 0
    """It tells a server from another at the same address, whose connections go on while it leaves."""


@dataclass(frozen=True, slots=True)
class TableEntry:
    """The members that take new connections, in the pool's order."""

    scheduler: Scheduler
    pool: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What an apply that was cut left behind. It equals nothing that is wanted, so the next one heals it."""
