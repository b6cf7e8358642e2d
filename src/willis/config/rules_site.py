"""Rules across services, hosts and interfaces: who is where, and who owns what.

Each rule is a function from a config to faults; the first line of its docstring is the
rule as the manual states it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from willis.config.addresses import is_edge
from willis.config.places import at, servers
from willis.config.problem import Fault, Path, Severity
from willis.config.rules_acme import ACME_RULES
from willis.config.rules_alerts import ALERT_RULES
from willis.config.rules_http import HTTP_SITE_RULES
from willis.config.rules_translation import TRANSLATION_SITE_RULES
from willis.config.rules_transparent import TRANSPARENT_SITE_RULES
from willis.model.config import Config
from willis.model.service import Address, Forwarding, RealServer, VirtualService

_INTERFACES: Path = ("interfaces",)


def dr_reaches_its_servers(config: Config) -> Iterator[Fault]:
    """DR needs an interface of the node in the subnet of each real server, fallback servers too.

    Reported once a host, at the first service that needs it: the cause is one wrong address.
    """
    reached = {host.name: config.interface_to(host.address) is not None for host in config.hosts}
    for host, places in _dr_servers(config).items():
        if reached.get(host, True):
            continue
        path, server = places[0]
        also = f"; {len(places) - 1} more DR services use it" if len(places) > 1 else ""
        what = f"DR needs an interface of the node in the subnet of {host} ({server.address}){also}."
        remedy = "Add such an interface, correct the address of the host, or use forwarding: snat or proxy."
        needs = (_INTERFACES, ("hosts", host), (*path[:2], "forwarding"))
        yield Fault((*path, "host"), what, remedy, rests_on=needs)


def _dr_servers(config: Config) -> dict[str, list[tuple[Path, RealServer]]]:
    found: dict[str, list[tuple[Path, RealServer]]] = {}
    for service in config.services:
        if service.forwarding is Forwarding.DR:
            for path, server in servers(service):
                found.setdefault(server.host, []).append((path, server))
    return found


def vip_lies_in_a_subnet(config: Config) -> Iterator[Fault]:
    """The VIP lies in a subnet of one of the interfaces."""
    subnets = ", ".join(str(own.network) for i in config.interfaces for own in i.addresses) or "none"
    for service in config.services:
        if config.interface_to(service.vip) is None:
            what = f"The VIP {service.vip} lies in no subnet of the node's interfaces (they are: {subnets})."
            remedy = "Choose an address in one of them, or add the interface."
            yield Fault(at(service, "vip"), what, remedy, rests_on=(_INTERFACES,))


def vip_is_nobody_elses(config: Config) -> Iterator[Fault]:
    """The VIP is no host's address, not the node's own, and neither first nor last of an IPv4 subnet."""
    hosts = {host.address: host.name for host in config.hosts}
    own = _own_addresses(config)
    remedy = "Give the service an address of its own."
    for service in config.services:
        vip, path = service.vip, at(service, "vip")
        if vip in hosts:
            what = f"The VIP {vip} is the address of the host {hosts[vip]}."
            yield Fault(path, what, remedy, rests_on=(("hosts", hosts[vip]),))
        if vip in own:
            what = f"The VIP {vip} is the node's own address on {own[vip]}."
            yield Fault(path, what, remedy, rests_on=(("interfaces", own[vip]),))
        if any(is_edge(vip, own_address) for i in config.interfaces for own_address in i.addresses):
            what = f"The VIP {vip} is the first or last of its subnet, which no machine can have."
            yield Fault(path, what, remedy, rests_on=(_INTERFACES,))


def _own_addresses(config: Config) -> dict[Address, str]:
    return {own.ip: i.name for i in config.interfaces for own in i.addresses}


def vip_and_port_have_one_owner(config: Config) -> Iterator[Fault]:
    """No two services claim the same VIP, port and protocol."""
    owner: dict[tuple[object, ...], VirtualService] = {}
    for service in config.services:
        for port in service.ports:
            first = owner.setdefault((service.vip, port, service.protocol), service)
            if first is not service:
                what = f"Port {port}/{service.protocol} of {service.vip} already belongs to {first.name}."
                remedy = "Give one of the two another VIP or port."
                needs = tuple(at(s, key) for s in (first, service) for key in ("vip", "ports", "protocol"))
                yield Fault(at(service, "vip"), what, remedy, rests_on=needs)


def snat_and_proxy_share_no_server_port(config: Config) -> Iterator[Fault]:
    """One host and port does not serve both a layer-7 and a layer-4 SNAT service.

    Both reach the server from the node's address. A connection of the proxy and a translated
    one may then have the same five numbers, and conntrack knows them by nothing else.
    """
    proxied = {
        (server.address, port, service.protocol): service
        for service in config.services
        if service.forwarding is Forwarding.PROXY
        for _, server in servers(service)
        for port in _server_ports(service, server)
    }
    for service in config.services:
        if service.forwarding is not Forwarding.SNAT:
            continue
        for path, server in servers(service):
            for port in _server_ports(service, server):
                other = proxied.get((server.address, port, service.protocol))
                if other is None:
                    continue
                what = (
                    f"Port {port} of {server.host} also serves the layer-7 service {other.name}; a layer-4 "
                    "SNAT service may not share it. Both connect to it from the node's address and would "
                    "claim the same connection: conntrack cannot tell the proxy's own from translated ones."
                )
                remedy = "Use another port for one of the two, or the same forwarding for both."
                needs = (("hosts", server.host), at(service, "ports"), at(service, "protocol"), at(other))
                yield Fault((*path, "host"), what, remedy, rests_on=needs)


def _server_ports(service: VirtualService, server: RealServer) -> Iterable[int]:
    return service.ports if server.port is None else (server.port,)


def host_is_not_the_node(config: Config) -> Iterator[Fault]:
    """A host's address is not the node's own."""
    own = _own_addresses(config)
    for host in config.hosts:
        if host.address in own:
            interface = own[host.address]
            what = f"{host.address} is the node's own address on {interface}."
            remedy = "Write the address of the machine that carries the real servers."
            needs = (("interfaces", interface),)
            yield Fault(("hosts", host.name, "address"), what, remedy, rests_on=needs)


def subnets_are_apart(config: Config) -> Iterator[Fault]:
    """No two interfaces share a subnet, and no address of the node stands twice."""
    placed = [(i, n, own) for i in config.interfaces for n, own in enumerate(i.addresses)]
    for index, (interface, position, own) in enumerate(placed):
        for other, _, earlier in placed[:index]:
            if own.version != earlier.version or not own.network.overlaps(earlier.network):
                continue
            if interface is other and own.ip != earlier.ip:
                continue
            what = f"{own} overlaps with {earlier} of {other.name}: which leads to a machine is not clear."
            remedy = "Correct the prefix lengths, or remove one of the two."
            yield Fault(("interfaces", interface.name, "addresses", position), what, remedy)
            break


def host_is_used(config: Config) -> Iterator[Fault]:
    """Warning: a host that no service uses."""
    used = {server.host for service in config.services for _, server in servers(service)}
    for host in config.hosts:
        if host.name not in used:
            what = f"No service uses the host {host.name}."
            remedy = "Add it to a pool, or remove it."
            yield Fault(("hosts", host.name), what, remedy, Severity.WARNING, rests_on=(("services",),))


def host_has_one_name(config: Config) -> Iterator[Fault]:
    """Warning: two hosts with one address."""
    first: dict[object, str] = {}
    for host in config.hosts:
        other = first.setdefault(host.address, host.name)
        if other != host.name:
            what = f"{host.name} has the address of {other}: draining one leaves traffic on the machine."
            remedy = f"Use the name {other} in all pools, or correct the address."
            needs = (("hosts", other),)
            yield Fault(("hosts", host.name, "address"), what, remedy, Severity.WARNING, rests_on=needs)


SITE_RULES: tuple[Callable[[Config], Iterator[Fault]], ...] = (
    dr_reaches_its_servers,
    vip_lies_in_a_subnet,
    vip_is_nobody_elses,
    vip_and_port_have_one_owner,
    snat_and_proxy_share_no_server_port,
    *TRANSLATION_SITE_RULES,
    *HTTP_SITE_RULES,
    *TRANSPARENT_SITE_RULES,
    host_is_not_the_node,
    subnets_are_apart,
    host_is_used,
    host_has_one_name,
    *ACME_RULES,
    *ALERT_RULES,
)
