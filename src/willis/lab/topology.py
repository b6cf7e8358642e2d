"""The same site on another network: where VIPs, node and hosts stand to each other. Pure.

A document with one interface can be tried in every topology before cables are laid. What
moves gets a subnet beside the old one, and keeps its place in it: 10.60.0.101 becomes
10.60.1.101.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from ipaddress import ip_interface, ip_network

from willis.lab.blueprint import Network, Own
from willis.lab.errors import LabError
from willis.model.config import Config
from willis.model.node import Host
from willis.model.service import Address, Forwarding, RealServer, VirtualService

FRONT = "eth1"
_TRIES = 256


class Topology(StrEnum):
    """``one-arm``: clients' traffic and servers on one interface. ``two-arm``: VIPs on an interface of
    their own. ``routed``: servers that the node reaches only through the router.
    """

    ONE_ARM = "one-arm"
    TWO_ARM = "two-arm"
    ROUTED = "routed"


def arranged(config: Config, topology: Topology) -> Config:
    """The site in that topology. Raises LabError where it cannot be."""
    if len(config.interfaces) != 1:
        raise LabError(
            f"--topology rearranges a document with one interface; this one has {len(config.interfaces)}, "
            "so it has a topology of its own: leave the option out."
        )
    return _ARRANGE[topology](config)


def _two_arm(config: Config) -> Config:
    """VIPs move to a second interface; the node keeps its first one beside the hosts."""
    back = config.interfaces[0]
    moves = _moves(config)
    name = FRONT if back.name != FRONT else "eth0"
    front = replace(back, name=name, addresses=tuple(_moved_own(own, moves) for own in back.addresses))
    vips = {service.vip: _moved(service.vip, moves) for service in config.services}
    services = (
        replace(s, vip=vips[s.vip], source=vips.get(s.source, s.source) if s.source else None)
        for s in config.services
    )
    return replace(config, interfaces=(back, front), services=tuple(services))


def _routed(config: Config) -> Config:
    """Hosts move behind the router; direct routing ends there."""
    direct = [service.name for service in config.services if service.forwarding is Forwarding.DR]
    if direct:
        raise LabError(
            f"DR needs the node in the servers' subnet, so {', '.join(direct)} cannot be routed: use "
            "--topology one-arm or two-arm, or a document without DR services."
        )
    moves = _moves(config)

    def server(known: RealServer) -> RealServer:
        return replace(known, address=_moved(known.address, moves))

    def service(known: VirtualService) -> VirtualService:
        fallback = server(known.fallback) if known.fallback else None
        return replace(known, pool=tuple(map(server, known.pool)), fallback=fallback)

    return replace(
        config,
        hosts=tuple(Host(host.name, _moved(host.address, moves)) for host in config.hosts),
        services=tuple(map(service, config.services)),
    )


_ARRANGE: dict[Topology, Callable[[Config], Config]] = {
    Topology.ONE_ARM: lambda config: config,
    Topology.TWO_ARM: _two_arm,
    Topology.ROUTED: _routed,
}

_Moves = dict[Network, Network]
"""Each subnet of the node, and the new one beside it."""


def _moves(config: Config) -> _Moves:
    taken = [own.network for own in config.interfaces[0].addresses]
    others = [host.address for host in config.hosts]
    moves: _Moves = {}
    for network in dict.fromkeys(taken):
        moves[network] = _beside(network, taken, others)
        taken.append(moves[network])
    return moves


def _beside(network: Network, taken: list[Network], others: list[Address]) -> Network:
    """The next network of this size that overlaps none and holds no host."""
    for step in range(1, _TRIES):
        start = int(network.network_address) + step * network.num_addresses
        if start >= 1 << network.max_prefixlen:
            break
        found = ip_network((start, network.prefixlen))
        met = any(found.version == other.version and found.overlaps(other) for other in taken)
        usable = not found.is_multicast and not found.is_reserved
        if usable and not met and not any(address in found for address in others):
            return found
    raise LabError(f"There is no free subnet beside {network}: give the site's interface a smaller subnet.")


def _moved(address: Address, moves: _Moves) -> Address:
    """The address at its place in the new subnet; as it was, if it is in none that moves."""
    for old, new in moves.items():
        if address in old:
            return new[int(address) - int(old.network_address)]
    return address


def _moved_own(own: Own, moves: _Moves) -> Own:
    return ip_interface(f"{_moved(own.ip, moves)}/{own.network.prefixlen}")
