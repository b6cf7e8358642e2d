"""The twin on paper: which machines, wires, addresses and listeners a site document asks for.

Pure: a Config goes in, a frozen Blueprint comes out, the same one each time. Building it
is the work of ``ground`` and ``twin``.

The network: one hidden machine ``net`` is switch and router. Each interface of the node
has a bridge of its own there, and so has each client network and each routed subnet of
hosts that the node does not reach directly. The highest free address of a subnet is its
gateway.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, ip_interface
from itertools import islice

from willis.lab.blueprint import (
    CLIENTS,
    NET,
    NODE,
    Blueprint,
    BlueprintError,
    Detour,
    Kind,
    Machine,
    Network,
)
from willis.lab.pieces import pieces, servers_of
from willis.lab.returns import router_detours, way_back
from willis.lab.subnets import (
    Lans,
    Wiring,
    client_networks,
    known_addresses,
    own_networks,
    routed_subnet,
    routes,
)
from willis.model.config import Config
from willis.model.node import Attach, Host
from willis.model.service import Address, Forwarding

CLIENT_ADDRESSES = 64
"""How many addresses a client has, so that it can pass for a ward full of modalities."""

_FIRST_CLIENT = 10


def full(config: Config) -> Blueprint:
    """The twin in network namespaces. Raises BlueprintError."""
    _check_names(config)
    lans, wiring, known = Lans(), Wiring(), known_addresses(config)
    for interface in config.interfaces:
        lans.add(interface.name, (own.network for own in interface.addresses), known)
    homes = {host.name: _home(config, host) for host in config.hosts}
    for key, subnet in dict.fromkeys(homes.values()):
        if not lans.has(key):
            lans.add(key, (subnet,), known)
    taken = [*own_networks(config), *(subnet for _, subnet in homes.values())]
    clients = [_client(name, subnets, lans, wiring) for name, subnets in client_networks(config, taken)]
    node = _node(config, lans, wiring)
    hosts = [_host(config, host, homes[host.name], lans, wiring) for host in config.hosts]
    return Blueprint(
        lans=lans.built,
        machines=(*clients, node, *hosts),
        detours=tuple(_router_detours(config, homes, lans)),
        plain_checksums=any(i.attach is Attach.XDP for i in config.interfaces),
    )


def light(config: Config) -> Blueprint:
    """The twin on loopback addresses, of a document that ``light.loopback`` has moved there."""
    _check_names(config)
    clients = [Machine(name, Kind.CLIENT, local=(IPv4Address("127.0.0.1"),)) for name in CLIENTS]
    node = Machine(NODE, Kind.NODE, local=tuple(own.ip for i in config.interfaces for own in i.addresses))
    hosts = [
        Machine(
            host.name,
            Kind.SERVER,
            pieces=tuple(pieces(config, host.name, own_only=True)),
            local=(host.address,),
        )
        for host in config.hosts
    ]
    return Blueprint(lans=(), machines=(*clients, node, *hosts))


def _check_names(config: Config) -> None:
    ours = {*CLIENTS, NODE, NET}
    for host in config.hosts:
        if host.name in ours:
            raise BlueprintError(
                f"Host {host.name!r} has the name of a machine of the twin itself: rename it."
            )
    seen: dict[Address, str] = {}
    for host in config.hosts:
        other = seen.setdefault(host.address, host.name)
        if other != host.name:
            raise BlueprintError(
                f"Hosts {other!r} and {host.name!r} have one address ({host.address}), so they cannot be two "
                "machines of a twin: name the machine once and use that name in all pools."
            )
    if any(interface.name == "lo" for interface in config.interfaces) and any(
        not own.ip.is_loopback for i in config.interfaces for own in i.addresses
    ):
        raise BlueprintError("Interface 'lo' cannot be wired to a network: give the node's real interface.")


def _home(config: Config, host: Host) -> tuple[str, Network]:
    """The network a host is on: the name of an interface of the node, or a routed subnet of its own."""
    for interface in config.interfaces:
        for own in interface.addresses:
            if host.address in own.network:
                return interface.name, own.network
    subnet = routed_subnet(host.address, own_networks(config))
    return str(subnet), subnet


def _client(name: str, subnets: list[Network], lans: Lans, wiring: Wiring) -> Machine:
    lans.add(name, subnets, frozenset())
    lan = lans.of(name)
    addresses = (
        ip_interface(f"{address}/{subnet.prefixlen}")
        for subnet in subnets
        for address in islice(subnet, _FIRST_CLIENT, _FIRST_CLIENT + CLIENT_ADDRESSES)
    )
    return Machine(name, Kind.CLIENT, (wiring.wire("eth0", lan, addresses),), gateways=routes(lan.gateways))


def _node(config: Config, lans: Lans, wiring: Wiring) -> Machine:
    """The way to clients and routed hosts begins where the VIPs are, if there are two arms."""
    wires = tuple(wiring.wire(i.name, lans.of(i.name), i.addresses) for i in config.interfaces)
    front_first = sorted(config.interfaces, key=lambda i: not any(i.reaches(s.vip) for s in config.services))
    gateways = (gateway for interface in front_first for gateway in lans.of(interface.name).gateways)
    return Machine(NODE, Kind.NODE, wires, gateways=routes(gateways))


def _host(config: Config, host: Host, home: tuple[str, Network], lans: Lans, wiring: Wiring) -> Machine:
    key, subnet = home
    lan = lans.of(key)
    own = ip_interface(f"{host.address}/{subnet.prefixlen}")
    wire = wiring.wire("eth0", lan, (own,))
    router = routes(g for g in lan.gateways if host.address in g.network)
    gateways, detours = way_back(config, host, subnet, wire.interface, router)
    return Machine(
        host.name,
        Kind.SERVER,
        (wire,),
        loopback=_vips(config, host.name),
        gateways=gateways,
        detours=detours,
        pieces=tuple(pieces(config, host.name)),
    )


def _router_detours(config: Config, homes: dict[str, tuple[str, Network]], lans: Lans) -> Iterator[Detour]:
    for host in config.hosts:
        key, subnet = homes[host.name]
        yield from router_detours(config, host, subnet, lans.of(key).bridge)


def _vips(config: Config, host: str) -> tuple[Address, ...]:
    found = (
        service.vip
        for service in config.services
        if service.forwarding is Forwarding.DR and any(server.host == host for server in servers_of(service))
    )
    return tuple(dict.fromkeys(found))
