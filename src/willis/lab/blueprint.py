"""What a twin consists of: machines, wires, bridges and listeners, as frozen nouns.

``draw`` derives them from a site document; ``ground`` and ``twin`` build them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

from willis.model.service import Address, Protocol

Own = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network


NODE = "lb1"
CLIENTS = ("client1", "client2")
NET = "net"


class BlueprintError(Exception):
    """A document of which no twin can be made. The text says why and what to do."""


class Kind(StrEnum):
    """What a machine of the twin stands for."""

    CLIENT = "client"
    NODE = "node"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Lan:
    """A bridge in ``net`` with the gateway addresses of its subnets."""

    bridge: str
    gateways: tuple[Own, ...]


@dataclass(frozen=True, slots=True)
class Wire:
    """A veth pair between a machine and a bridge; ``port`` is the bridge's end."""

    interface: str
    bridge: str
    port: str
    addresses: tuple[Own, ...]


@dataclass(frozen=True, slots=True)
class Detour:
    """What comes from ``source`` leaves its subnet by a gateway of its own (policy routing)."""

    source: Address
    gateway: Address
    subnet: Network
    interface: str
    """Where the subnet is, as the machine that routes calls it."""


@dataclass(frozen=True, slots=True, order=True)
class Listen:
    """A socket that a piece binds."""

    address: str
    port: int
    protocol: Protocol = Protocol.TCP


@dataclass(frozen=True, slots=True)
class Piece:
    """One process of a machine: a kind of application with all its ports there."""

    name: str
    listens: tuple[Listen, ...]
    services: tuple[tuple[str, int, str], ...]
    """(local address, port, services) of a connection; several services that cannot be told
    apart there, since they share the real server, are joined by ``+``."""

    @property
    def lowest_port(self) -> int:
        return min(listen.port for listen in self.listens)


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine of the twin."""

    name: str
    kind: Kind
    wires: tuple[Wire, ...] = ()
    loopback: tuple[Address, ...] = ()
    """VIPs of the DR services that this host serves."""
    gateways: tuple[Address, ...] = ()
    """Default routes, at most one a family."""
    detours: tuple[Detour, ...] = ()
    """For NAT on a host that answers DR clients without the node."""
    pieces: tuple[Piece, ...] = ()
    local: tuple[Address, ...] = ()
    """Light twin: the loopback addresses that stand for this machine."""

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The machine's own addresses, the chief one first."""
        return (*(own.ip for wire in self.wires for own in wire.addresses), *self.local)

    def piece(self, name: str) -> Piece | None:
        return next((piece for piece in self.pieces if piece.name == name), None)


@dataclass(frozen=True, slots=True)
class Blueprint:
    """All machines and networks of one twin."""

    lans: tuple[Lan, ...]
    machines: tuple[Machine, ...]
    detours: tuple[Detour, ...] = ()
    """Of the router: what NAT servers behind it send goes to the node."""
    plain_checksums: bool = False
    """Native XDP on veth loses partial checksums: senders must finish them, peers need GRO."""

    def machine(self, name: str) -> Machine | None:
        return next((machine for machine in self.machines if machine.name == name), None)

    @property
    def servers(self) -> tuple[Machine, ...]:
        return tuple(m for m in self.machines if m.kind is Kind.SERVER)
