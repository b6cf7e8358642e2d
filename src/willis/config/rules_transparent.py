"""Rules about services whose real servers see the client's own address (`transparent`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from willis.config.places import at, servers
from willis.config.problem import Fault, Path, Severity
from willis.model.config import Config
from willis.model.service import Address, Forwarding, VirtualService

_INTERFACES: Path = ("interfaces",)


def transparent_stays_in_the_family(service: VirtualService) -> Iterator[Fault]:
    """With `transparent`, VIP and real servers are all IPv4 or all IPv6."""
    if not _is_transparent(service):
        return
    for path, server in servers(service):
        if server.address.version != service.vip.version:
            what = (
                f"{server.host} has an IPv{server.address.version} address and cannot see the "
                f"IPv{service.vip.version} address of a client."
            )
            remedy = "Use a host and a VIP of the same kind, or remove 'transparent'."
            needs = (at(service, "vip"), at(service, "transparent"), ("hosts", server.host))
            yield Fault((*path, "host"), what, remedy, rests_on=needs)


def transparent_answers_return_through_the_node(config: Config) -> Iterator[Fault]:
    """Warning: `transparent` needs the node as the servers' gateway; told once a subnet, with the address."""
    told: dict[Address | None, tuple[VirtualService, list[str]]] = {}
    for service in filter(_is_transparent, config.services):
        for _, server in servers(service):
            gateway = config.own_address_facing(server.address)
            _, hosts = told.setdefault(gateway, (service, []))
            if server.host not in hosts:
                hosts.append(server.host)
    for gateway, (service, hosts) in told.items():
        what = (
            f"{', '.join(hosts)} will answer to the clients' own addresses; these answers must return "
            "through the node, or connections hang while checks stay green."
        )
        remedy = (
            f"Make {gateway} their default gateway"
            if gateway is not None
            else "They are in no subnet of the node: let their router send what comes from them to the node"
        )
        needs = (_INTERFACES, *(("hosts", host) for host in hosts))
        path = at(service, "transparent")
        yield Fault(path, what, f"{remedy}; docs/guide/transparent.md says how.", Severity.WARNING, needs)


def transparent_clients_are_elsewhere(config: Config) -> Iterator[Fault]:
    """Warning: a transparent service whose VIP is in its real servers' subnet, where clients may be too."""
    for service in filter(_is_transparent, config.services):
        facing = config.own_address_facing(service.vip)
        near = sorted({s.host for _, s in servers(service) if config.own_address_facing(s.address) == facing})
        if facing is not None and near:
            what = (
                f"The VIP is in the subnet of {', '.join(near)}: to a client in that subnet these servers "
                "answer directly, past the node, and its connections hang."
            )
            remedy = "Keep clients out of that subnet, or give the servers a subnet of their own."
            needs = (_INTERFACES, at(service, "vip"), *(("hosts", host) for host in near))
            yield Fault(at(service, "transparent"), what, remedy, Severity.WARNING, needs)


def _is_transparent(service: VirtualService) -> bool:
    return service.transparent and service.forwarding is Forwarding.PROXY


TRANSPARENT_RULES: tuple[Callable[[VirtualService], Iterator[Fault]], ...] = (
    transparent_stays_in_the_family,
)
TRANSPARENT_SITE_RULES: tuple[Callable[[Config], Iterator[Fault]], ...] = (
    transparent_answers_return_through_the_node,
    transparent_clients_are_elsewhere,
)
