"""Rules across objects: what is wrong although every single value is fine.

Each rule is a function from a config to faults. A rule may assume nothing but the types:
it also sees configs with stand-ins, and names in ``rests_on`` what its claim depends on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from willis.config.document import LATER
from willis.config.problem import Fault, Path, Severity
from willis.model.config import Config
from willis.model.service import (
    CookiePersistence,
    Forwarding,
    Protocol,
    RealServer,
    SourcePersistence,
    VirtualService,
)

Rule = Callable[[Config], Iterator[Fault]]

_INTERFACES: Path = ("interfaces",)


def _at(service: VirtualService, *rest: str | int) -> Path:
    return ("services", service.name, *rest)


def _servers(service: VirtualService) -> Iterator[tuple[Path, RealServer]]:
    """Every real server of a service with its path; the fallback server last."""
    for i, server in enumerate(service.pool):
        yield _at(service, "pool", i), server
    if service.fallback is not None:
        yield _at(service, "fallback"), service.fallback


def forwarding_is_built(config: Config) -> Iterator[Fault]:
    for service in config.services:
        if service.forwarding in LATER:
            what = f"Forwarding '{service.forwarding}' comes with a later version of Willis."
            remedy = "Use dr (layer 4; the real server answers the client itself) or proxy (layer 7)."
            yield Fault(_at(service, "forwarding"), what, remedy)


def dr_keeps_the_port(config: Config) -> Iterator[Fault]:
    for service in config.services:
        if service.forwarding is not Forwarding.DR:
            continue
        ports = " and ".join(map(str, service.ports))
        for path, server in _servers(service):
            if server.port is not None:
                what = f"DR cannot change the port: clients come to {ports}, not to {server.port}."
                remedy = "Remove 'port' here, or use forwarding: proxy."
                yield Fault(
                    (*path, "port"),
                    what,
                    remedy,
                    rests_on=(_at(service, "forwarding"), _at(service, "ports")),
                )


def dr_reaches_its_servers(config: Config) -> Iterator[Fault]:
    """Reported once a host, at the first service that needs it: the cause is one wrong address."""
    reached = {host.name: config.interface_to(host.address) is not None for host in config.hosts}
    for host, places in _dr_servers(config).items():
        if reached.get(host, True):
            continue
        path, server = places[0]
        also = f"; {len(places) - 1} more DR services use it" if len(places) > 1 else ""
        what = f"DR needs an interface of the node in the subnet of {host} ({server.address}){also}."
        remedy = "Add such an interface, correct the address of the host, or use forwarding: proxy."
        needs = (_INTERFACES, ("hosts", host), (*path[:2], "forwarding"))
        yield Fault((*path, "host"), what, remedy, rests_on=needs)


def _dr_servers(config: Config) -> dict[str, list[tuple[Path, RealServer]]]:
    found: dict[str, list[tuple[Path, RealServer]]] = {}
    for service in config.services:
        if service.forwarding is Forwarding.DR:
            for path, server in _servers(service):
                found.setdefault(server.host, []).append((path, server))
    return found


def dr_stays_in_the_family(config: Config) -> Iterator[Fault]:
    for service in config.services:
        if service.forwarding is not Forwarding.DR:
            continue
        for path, server in _servers(service):
            if server.address.version != service.vip.version:
                what = (
                    f"DR cannot send IPv{service.vip.version} traffic to {server.host}, "
                    f"which has an IPv{server.address.version} address."
                )
                remedy = "Use a host and a VIP of the same kind, or forwarding: proxy."
                needs = (_at(service, "vip"), _at(service, "forwarding"), ("hosts", server.host))
                yield Fault((*path, "host"), what, remedy, rests_on=needs)


def vip_lies_in_a_subnet(config: Config) -> Iterator[Fault]:
    subnets = ", ".join(str(own.network) for i in config.interfaces for own in i.addresses) or "none"
    for service in config.services:
        if config.interface_to(service.vip) is None:
            what = f"The VIP {service.vip} lies in no subnet of the node's interfaces (they are: {subnets})."
            remedy = "Choose an address in one of them, or add the interface."
            yield Fault(_at(service, "vip"), what, remedy, rests_on=(_INTERFACES,))


def vip_is_nobody_elses(config: Config) -> Iterator[Fault]:
    hosts = {host.address: host.name for host in config.hosts}
    own = {own.ip: i.name for i in config.interfaces for own in i.addresses}
    edges = {
        edge
        for i in config.interfaces
        for own_address in i.addresses
        if own_address.version == 4 and own_address.network.prefixlen < 31
        for edge in (own_address.network.network_address, own_address.network.broadcast_address)
    }
    for service in config.services:
        vip, path = service.vip, _at(service, "vip")
        if vip in hosts:
            what = f"The VIP {vip} is the address of the host {hosts[vip]}."
            yield Fault(
                path, what, "Give the service an address of its own.", rests_on=(("hosts", hosts[vip]),)
            )
        if vip in own:
            what = f"The VIP {vip} is the node's own address on {own[vip]}."
            yield Fault(
                path, what, "Give the service an address of its own.", rests_on=(("interfaces", own[vip]),)
            )
        if vip in edges:
            yield Fault(
                path, f"The VIP {vip} is the first or last of its subnet.", "Choose one between them."
            )


def vip_and_port_have_one_owner(config: Config) -> Iterator[Fault]:
    owner: dict[tuple[object, ...], VirtualService] = {}
    for service in config.services:
        for port in service.ports:
            first = owner.setdefault((service.vip, port, service.protocol), service)
            if first is not service:
                what = f"{service.vip}:{port}/{service.protocol} already belongs to {first.name}."
                remedy = "Give one of the two another VIP or port."
                needs = tuple(_at(s, key) for s in (first, service) for key in ("vip", "ports", "protocol"))
                yield Fault(_at(service, "vip"), what, remedy, rests_on=needs)


def snat_and_proxy_share_no_server_port(config: Config) -> Iterator[Fault]:
    """The reference product's rule: the firewall marks of the two would catch each other's packets."""
    proxied = {
        (server.address, port): service
        for service in config.services
        if service.forwarding is Forwarding.PROXY
        for _, server in _servers(service)
        for port in _server_ports(service, server)
    }
    for service in config.services:
        if service.forwarding is not Forwarding.SNAT:
            continue
        for path, server in _servers(service):
            for port in _server_ports(service, server):
                other = proxied.get((server.address, port))
                if other is not None:
                    what = (
                        f"{server.host}:{port} also serves the layer-7 service {other.name}; "
                        "a layer-4 SNAT service may not share it, as their rules catch each other's packets."
                    )
                    remedy = "Use another port for one of the two, or the same forwarding for both."
                    needs = (
                        ("hosts", server.host),
                        _at(service, "ports"),
                        _at(other, "pool"),
                        _at(other, "ports"),
                    )
                    yield Fault((*path, "host"), what, remedy, rests_on=needs)


def _server_ports(service: VirtualService, server: RealServer) -> Iterable[int]:
    return service.ports if server.port is None else (server.port,)


def cookie_needs_http(config: Config) -> Iterator[Fault]:
    for service in config.services:
        if not isinstance(service.persistence, CookiePersistence):
            continue
        path = _at(service, "persistence", "kind")
        if service.forwarding.layer != 7:
            what = f"A cookie needs layer 7, and this service is forwarded by {service.forwarding}."
            remedy = "Use forwarding: proxy, or persistence of kind source-ip."
            yield Fault(path, what, remedy, rests_on=(_at(service, "forwarding"),))
        if not service.application.is_http:
            what = f"A cookie needs HTTP, and the application of this service is {service.application}."
            remedy = "Set application: http (or mint), or use persistence of kind source-ip."
            yield Fault(path, what, remedy, rests_on=(_at(service, "application"),))


def mask_fits_the_family(config: Config) -> Iterator[Fault]:
    for service in config.services:
        longest = service.vip.max_prefixlen
        if isinstance(service.persistence, SourcePersistence) and service.persistence.mask > longest:
            what = f"The mask {service.persistence.mask} is longer than an IPv{service.vip.version} address."
            needs = (_at(service, "vip"),)
            yield Fault(_at(service, "persistence", "mask"), what, f"Use 1 to {longest}.", rests_on=needs)


def udp_is_layer_4(config: Config) -> Iterator[Fault]:
    for service in config.services:
        if service.protocol is Protocol.UDP and service.forwarding.layer != 4:
            what = "The layer-7 proxy carries TCP only."
            yield Fault(
                _at(service, "protocol"),
                what,
                "Use forwarding: dr for UDP, or protocol: tcp.",
                rests_on=(_at(service, "forwarding"),),
            )


def host_is_in_a_pool_once(config: Config) -> Iterator[Fault]:
    for service in config.services:
        first: dict[str, int] = {}
        for i, server in enumerate(service.pool):
            if first.setdefault(server.host, i) != i:
                what = f"{server.host} is already in this pool, at position {first[server.host]}."
                remedy = "Keep one of the two; a larger weight gives it a larger share."
                yield Fault(_at(service, "pool", i, "host"), what, remedy)


def host_is_not_the_node(config: Config) -> Iterator[Fault]:
    own = {own.ip: i.name for i in config.interfaces for own in i.addresses}
    for host in config.hosts:
        if host.address in own:
            what = f"{host.address} is the node's own address on {own[host.address]}."
            remedy = "Write the address of the machine that carries the real servers."
            yield Fault(
                ("hosts", host.name, "address"), what, remedy, rests_on=(("interfaces", own[host.address]),)
            )


def subnets_are_apart(config: Config) -> Iterator[Fault]:
    placed = [(i, n, own) for i in config.interfaces for n, own in enumerate(i.addresses)]
    for index, (interface, position, own) in enumerate(placed):
        for other, _, earlier in placed[:index]:
            same = interface is other
            if own.version != earlier.version or not own.network.overlaps(earlier.network):
                continue
            if same and own.ip != earlier.ip:
                continue
            what = f"{own} overlaps with {earlier} of {other.name}: which leads to a machine is not clear."
            remedy = "Correct the prefix lengths, or remove one of the two."
            yield Fault(("interfaces", interface.name, "addresses", position), what, remedy)
            break


def host_is_used(config: Config) -> Iterator[Fault]:
    used = {server.host for service in config.services for _, server in _servers(service)}
    for host in config.hosts:
        if host.name not in used:
            what = f"No service uses the host {host.name}."
            remedy = "Add it to a pool, or remove it."
            yield Fault(("hosts", host.name), what, remedy, Severity.WARNING, rests_on=(("services",),))


def host_has_one_name(config: Config) -> Iterator[Fault]:
    first: dict[object, str] = {}
    for host in config.hosts:
        other = first.setdefault(host.address, host.name)
        if other != host.name:
            what = (
                f"{host.name} has the address of {other}, so draining one leaves traffic on the same machine."
            )
            remedy = f"Use the name {other} in all pools, or correct the address."
            yield Fault(
                ("hosts", host.name, "address"), what, remedy, Severity.WARNING, rests_on=(("hosts", other),)
            )


def fallback_stands_apart(config: Config) -> Iterator[Fault]:
    for service in config.services:
        fallback = service.fallback
        if fallback is not None and any(server.host == fallback.host for server in service.pool):
            what = (
                f"{fallback.host} is also in the pool, so it is most likely down when the fallback is needed."
            )
            remedy = "Name a host that is not in the pool, or remove the fallback."
            yield Fault(
                _at(service, "fallback", "host"),
                what,
                remedy,
                Severity.WARNING,
                rests_on=(_at(service, "pool"),),
            )


def some_weight_is_left(config: Config) -> Iterator[Fault]:
    for service in config.services:
        if service.pool and all(server.weight == 0 for server in service.pool):
            what = "All weights are 0, so no real server of this pool takes a new connection."
            remedy = "Give at least one a weight of 1 or more."
            yield Fault(
                _at(service, "pool"), what, remedy, Severity.WARNING, rests_on=(("defaults", "weight"),)
            )


def check_ends_before_the_next(config: Config) -> Iterator[Fault]:
    for service in config.services:
        check = service.check
        if check.timeout_s > check.interval_s:
            what = (
                f"A look may take {check.timeout_s:g} s but the next is due after {check.interval_s:g} s, "
                "so a silent server is noticed later than the interval promises."
            )
            remedy = "Set a timeout no longer than the interval."
            yield Fault(
                _at(service, "check"), what, remedy, Severity.WARNING, rests_on=(("defaults", "check"),)
            )


RULES: tuple[Rule, ...] = (
    forwarding_is_built,
    dr_keeps_the_port,
    dr_reaches_its_servers,
    dr_stays_in_the_family,
    vip_lies_in_a_subnet,
    vip_is_nobody_elses,
    vip_and_port_have_one_owner,
    snat_and_proxy_share_no_server_port,
    cookie_needs_http,
    mask_fits_the_family,
    udp_is_layer_4,
    host_is_in_a_pool_once,
    host_is_not_the_node,
    subnets_are_apart,
    host_is_used,
    host_has_one_name,
    fallback_stands_apart,
    some_weight_is_left,
    check_ends_before_the_next,
)


def judge(config: Config, known: Iterable[Fault] = ()) -> list[Fault]:
    """What the rules find, without the claims that rest on something in ``known``."""
    broken = {fault.path for fault in known}
    around = {path[:depth] for path in broken for depth in range(len(path) + 1)}

    def sound(path: Path) -> bool:
        return path not in around and not any(path[:depth] in broken for depth in range(len(path)))

    found = (fault for rule in RULES for fault in rule(config))
    return [fault for fault in found if all(map(sound, (fault.path, *fault.rests_on)))]
