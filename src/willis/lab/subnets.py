"""Subnets, gateways and bridges of a twin. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_interface, ip_network

from willis.lab.blueprint import CLIENTS, BlueprintError, Lan, Network, Own, Wire
from willis.lab.pieces import servers_of
from willis.model.config import Config
from willis.model.service import Address

_CLIENT_NETWORKS_4 = ("198.51.100.0/24", "203.0.113.0/24", "192.0.2.0/24", "198.18.0.0/24", "198.19.0.0/24")
"""TEST-NET-2, -3 and -1 (RFC 5737), then the benchmarking networks (RFC 2544)."""
_CLIENT_NETWORKS_6 = ("2001:db8:c1::/64", "2001:db8:c2::/64", "2001:db8:c3::/64", "2001:db8:c4::/64")


class Lans:
    """Hands out bridges; remembers gateways by what asked for the bridge."""

    def __init__(self) -> None:
        self._by_key: dict[str, Lan] = {}

    def add(self, key: str, networks: Iterable[Network], known: frozenset[Address]) -> None:
        gateways = (_gateway(network, known) for network in dict.fromkeys(networks))
        self._by_key[key] = Lan(f"br{len(self._by_key)}", tuple(g for g in gateways if g is not None))

    def has(self, key: str) -> bool:
        return key in self._by_key

    def of(self, key: str) -> Lan:
        return self._by_key[key]

    @property
    def built(self) -> tuple[Lan, ...]:
        return tuple(self._by_key.values())


class Wiring:
    """Numbers the ports of ``net``: an interface name has 15 characters at most, a machine's may have 63."""

    def __init__(self) -> None:
        self._count = 0

    def wire(self, interface: str, lan: Lan, addresses: Iterable[Own]) -> Wire:
        self._count += 1
        return Wire(interface, lan.bridge, f"port{self._count}", tuple(addresses))


def own_networks(config: Config) -> list[Network]:
    return [own.network for interface in config.interfaces for own in interface.addresses]


def known_addresses(config: Config) -> frozenset[Address]:
    """Every address that the document gives to somebody."""
    found: set[Address] = {own.ip for interface in config.interfaces for own in interface.addresses}
    found.update(host.address for host in config.hosts)
    found.update(service.vip for service in config.services)
    found.update(server.address for service in config.services for server in servers_of(service))
    return frozenset(found)


def _gateway(network: Network, known: frozenset[Address]) -> Own | None:
    """The highest free address of the subnet, or None where all are taken."""
    ends = 1 if network.version == 4 and network.prefixlen < 31 else 0
    last = int(network.broadcast_address) - ends
    first = int(network.network_address) + (1 if network.num_addresses > 2 else 0)
    make = type(network.network_address)
    free = (make(number) for number in range(last, first - 1, -1) if make(number) not in known)
    chosen = next(free, None)
    return None if chosen is None else ip_interface(f"{chosen}/{network.prefixlen}")


def routed_subnet(address: Address, taken: list[Network]) -> Network:
    """A subnet around a host that the node reaches through its gateway only."""
    shortest, longest = (24, 30) if address.version == 4 else (64, 126)
    for prefix in range(shortest, longest + 1):
        subnet = ip_network(f"{address}/{prefix}", strict=False)
        if not any(subnet.version == other.version and subnet.overlaps(other) for other in taken):
            return subnet
    raise BlueprintError(
        f"No subnet of its own can be found for host address {address}: it lies beside a subnet of the node. "
        "Give it an address inside that subnet or well away from it."
    )


def client_networks(config: Config, taken: list[Network]) -> list[tuple[str, list[Network]]]:
    """Networks for the clients that overlap nothing in the document, one a family in use."""
    families = {own.version for i in config.interfaces for own in i.addresses} | {4}
    choices = {4: _CLIENT_NETWORKS_4, 6: _CLIENT_NETWORKS_6}
    found: dict[str, list[Network]] = {name: [] for name in CLIENTS}
    for family in sorted(families):
        networks = [ip_network(text) for text in choices[family]]
        free = [n for n in networks if not any(n.version == t.version and n.overlaps(t) for t in taken)]
        if len(free) < len(CLIENTS):
            raise BlueprintError(
                f"The document uses all networks kept for a twin's clients ({', '.join(choices[family])}): "
                "give the site other addresses."
            )
        for name, network in zip(CLIENTS, free, strict=False):
            found[name].append(network)
    return list(found.items())


def routes(gateways: Iterable[Own]) -> tuple[Address, ...]:
    """The first gateway of each family."""
    by_family: dict[int, Address] = {}
    for gateway in gateways:
        by_family.setdefault(gateway.version, gateway.ip)
    return tuple(by_family.values())
