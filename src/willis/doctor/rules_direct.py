"""Direct routing as a check: which doors are knocked at, and what an answer says of one. Pure.

Only a comparison counts: the VIP is silent or shut while the same SYN to the host's own address is
answered. So a host that is down, hung or far too busy is not accused, nor one whose ports are
translated to a container, where nobody answers a packet with a hop limit of 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product

from willis.doctor.seen import Knock, Reply, Seen
from willis.model.check import Target
from willis.model.config import Config
from willis.model.service import Address, Forwarding, Protocol
from willis.model.status import Place
from willis.plan.members import target

_OWNED = (Reply.OPEN, Reply.CLOSED)
_MOST_PORTS = 4
"""Of a service that are knocked at: a range of a thousand would be a port scan."""


@dataclass(frozen=True, slots=True)
class Door:
    """A port of a service at one real server: where its clients' packets arrive."""

    place: Place
    checked: Target
    """What its ordinary check looks at."""
    vip: Address
    port: int
    protocol: Protocol

    @property
    def fine(self) -> tuple[Reply, ...]:
        """What a TCP SYN through the VIP must come to; TCP tells less about the port of a UDP service."""
        return (Reply.OPEN,) if self.protocol is Protocol.TCP else _OWNED

    def __str__(self) -> str:
        return f"[{self.vip}]:{self.port}" if self.vip.version == 6 else f"{self.vip}:{self.port}"


@dataclass(frozen=True, slots=True)
class Doors:
    """What came of knocking. Doors in neither tell nothing."""

    fine: frozenset[Door] = frozenset()
    faults: Mapping[Door, str] = field(default_factory=dict)
    """Each with its reason."""


def doors(config: Config) -> Iterator[Door]:
    """Of each service and server the first four ports; the one that the check looks at before all others."""
    for service in config.services:
        if service.forwarding is Forwarding.DR:
            ports = sorted(service.ports, key=lambda port: port != service.check.port)[:_MOST_PORTS]
            for server, port in product(service.pool, ports):
                place = Place(server.host, service.name)
                yield Door(place, target(service, server), service.vip, port, service.protocol)


def through(config: Config, seen: Seen, asked: Iterable[Door]) -> dict[Door, Knock]:
    """SYNs by the VIP, as a client's arrive; none where the server's MAC is not known."""
    found = ((door, _knock(config, seen, door, door.vip)) for door in asked)
    return {door: knock for door, knock in found if knock is not None}


def beside(config: Config, seen: Seen, asked: Iterable[Door]) -> dict[Door, Knock]:
    """The same SYNs by each server's own address."""
    found = ((door, _knock(config, seen, door, door.checked.address)) for door in asked)
    return {door: knock for door, knock in found if knock is not None}


def fault(door: Door, vip: Reply, own: Reply) -> str | None:
    """What is wrong, by the replies at the VIP and at the server's own address; None: nothing is sure."""
    host, tcp = door.place.host, door.protocol is Protocol.TCP
    doctor = "'willis doctor' says what to type there"
    if vip is Reply.PASSED_ON and own in _OWNED:
        return (
            f"VIP {door.vip} is missing on {host}'s loopback: "
            f"it passes on what is sent to {door}, as a router would; {doctor}"
        )
    if vip is Reply.SILENT and own in _OWNED and tcp:
        return (
            f"VIP {door.vip} is missing on {host}'s loopback, or its firewall is shut for it: "
            f"{door} is silent, though its own address answers; {doctor}"
        )
    if vip is Reply.FORBIDDEN and own is Reply.OPEN and tcp:
        return f"{host}'s firewall refuses {door}, though its own address is open; {doctor}"
    if vip is Reply.CLOSED and own is Reply.OPEN and tcp:
        return f"nothing listens on {door}: {host}'s application listens on its own address only; {doctor}"
    return None


def _knock(config: Config, seen: Seen, door: Door, to: Address) -> Knock | None:
    server = door.checked.address
    interface, source = config.interface_to(server), config.own_address_facing(server)
    link = seen.links.get(interface.name) if interface is not None else None
    if link is None or source is None or not (link.mac and link.carrier) or source.version != to.version:
        return None
    macs = seen.owners.get((link.name, server))
    return Knock(link.name, min(macs), source, to, door.port) if macs else None
