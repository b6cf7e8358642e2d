"""How the answers of a host find their way back to clients, as the forwarding of its services asks. Pure.

DR: directly, by the router. NAT and a transparent proxy: through the node, which spoke for the
client. A host that serves both tells them apart by the address it answers from: the VIP in DR,
its own in NAT. SNAT and any other proxy ask nothing, since the host answers the node.
"""

from __future__ import annotations

from willis.lab.blueprint import Detour, Network
from willis.lab.pieces import servers_of
from willis.model.config import Config
from willis.model.node import Host
from willis.model.service import Address, Forwarding

WayBack = tuple[tuple[Address, ...], tuple[Detour, ...]]
"""Default gateways, and the detours beside them."""


def way_back(
    config: Config, host: Host, subnet: Network, interface: str, router: tuple[Address, ...]
) -> WayBack:
    """The gateways of a host; ``router`` are those that the router has in its subnet."""
    node = config.own_address_facing(host.address)
    if node is None or not _serves(config, host, Forwarding.NAT):
        return router, ()
    if not _serves(config, host, Forwarding.DR):
        return (node,), ()
    return router, (Detour(host.address, node, subnet, interface),)


def router_detours(config: Config, host: Host, subnet: Network, bridge: str) -> tuple[Detour, ...]:
    """Of the router, for a host in no subnet of the node: its NAT answers go to the node all the same."""
    if config.own_address_facing(host.address) is not None or not _serves(config, host, Forwarding.NAT):
        return ()
    own = (each.ip for interface in config.interfaces for each in interface.addresses)
    node = next(address for address in own if address.version == host.address.version)
    return (Detour(host.address, node, subnet, bridge),)


def _serves(config: Config, host: Host, forwarding: Forwarding) -> bool:
    return any(
        server.host == host.name
        for service in config.services
        if service.forwarding is forwarding or (forwarding is Forwarding.NAT and service.transparent)
        for server in servers_of(service)
    )
