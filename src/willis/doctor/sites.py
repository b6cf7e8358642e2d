"""What the doctor must know of a site: who is where, and who owns what. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from willis.doctor.seen import Link
from willis.model.config import Config
from willis.model.service import Address, Forwarding, RealServer, VirtualService

_NAMED = 4
"""Things that a sentence names; its evidence names all."""


def servers_of(service: VirtualService) -> tuple[RealServer, ...]:
    """The pool and the fallback server."""
    return (*service.pool, *((service.fallback,) if service.fallback else ()))


def vips_of(config: Config) -> tuple[Address, ...]:
    """Each VIP once, in the document's order."""
    return tuple(dict.fromkeys(service.vip for service in config.services))


def addresses_of(config: Config) -> dict[Address, str]:
    """Every address of a host by which real servers are reached, with the host's name."""
    found = {host.address: host.name for host in config.hosts}
    for service in config.services:
        found.update({server.address: server.host for server in servers_of(service)})
    return found


def direct_vips(config: Config, host: str) -> tuple[Address, ...]:
    """The VIPs that a host must own, since it serves them by direct routing."""
    services = (s for s in config.services if s.forwarding is Forwarding.DR)
    return tuple(
        dict.fromkeys(s.vip for s in services if any(server.host == host for server in servers_of(s)))
    )


def own_addresses(config: Config, links: Mapping[str, Link]) -> dict[tuple[str, int], Address]:
    """The node's own address on each interface, by IP version; only what it really has."""
    return {
        (interface.name, own.version): own.ip
        for interface in config.interfaces
        for own in interface.addresses
        if interface.name in links and own.ip in links[interface.name].addresses
    }


def some(things: Sequence[object]) -> str:
    """Things in a sentence: all, or the first and how many more."""
    return listed(things) if len(things) <= _NAMED else f"{things[0]} and {len(things) - 1} more"


def vips_named(vips: Sequence[Address]) -> str:
    """VIPs in a sentence."""
    return f"VIP{'s' if 1 < len(vips) <= _NAMED else ''} {some(vips)}"


def listed(things: Sequence[object]) -> str:
    return ", ".join(map(str, things))


def counted(number: int, thing: str) -> str:
    """``1 host``, ``3 hosts``."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
