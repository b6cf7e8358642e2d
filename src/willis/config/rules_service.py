"""Rules within one service: its parts must fit each other.

Each rule is a function from a service to faults; the first line of its docstring is the
rule as the manual states it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from willis.config.build import PROXY_KEYS
from willis.config.document import LATER
from willis.config.places import at, servers
from willis.config.problem import Fault, Severity
from willis.config.rules_check import CHECK_RULES
from willis.config.rules_dicom import DICOM_RULES
from willis.config.rules_http import HTTP_RULES
from willis.config.rules_limits import LIMITS_RULES
from willis.config.rules_tls import TLS_RULES
from willis.config.rules_translation import TRANSLATION_RULES
from willis.config.rules_transparent import TRANSPARENT_RULES
from willis.model.persistence import (
    ApplicationCookiePersistence,
    CookiePersistence,
    HeaderPersistence,
    SourcePersistence,
    TitlePersistence,
    TlsSessionPersistence,
)
from willis.model.service import Forwarding, Protocol, VirtualService


def forwarding_is_carried(service: VirtualService) -> Iterator[Fault]:
    """Forwarding `tun` is refused: no tunnel has been proved with real packets yet."""
    if service.forwarding in LATER:
        what = (
            f"Forwarding '{service.forwarding}' is not carried by this version: Willis offers no mode that "
            "was not proved with real packets, and no tunnel was."
        )
        remedy = "For servers in another subnet use snat, or proxy; dr where the node has an interface there."
        yield Fault(at(service, "forwarding"), what, remedy)


def ports_are_named(service: VirtualService) -> Iterator[Fault]:
    """Every service but a `proxy` one has ports; without them real servers name their own."""
    if service.ports:
        return
    if service.forwarding is not Forwarding.PROXY:
        what = "'ports' is missing: clients must be able to connect somewhere."
        yield Fault(
            at(service, "ports"), what, "Name the port or ports.", rests_on=(at(service, "forwarding"),)
        )
        return
    for path, server in servers(service):
        if server.port is None:
            what = f"The service has no port of its own that {server.host} could share."
            yield Fault(
                (*path, "port"), what, "Name the port of each real server.", rests_on=(at(service, "ports"),)
            )


def layer_7_keys_need_layer_7(service: VirtualService) -> Iterator[Fault]:
    """What only the proxy can do needs forwarding `proxy`."""
    if service.forwarding is Forwarding.PROXY:
        return
    plain = VirtualService("plain", service.vip, (), Forwarding.PROXY, service.check, ())
    for key, field in PROXY_KEYS.items():
        if getattr(service, field) != getattr(plain, field):
            what = f"'{key}' needs layer 7, and this service is forwarded by {service.forwarding}."
            needs = (at(service, "forwarding"),)
            yield Fault(at(service, key), what, "Remove it, or use forwarding: proxy.", rests_on=needs)


def dr_keeps_the_port(service: VirtualService) -> Iterator[Fault]:
    """DR cannot change the port, of the fallback server neither."""
    if service.forwarding is not Forwarding.DR:
        return
    ports = " or ".join(map(str, service.ports))
    needs = (at(service, "forwarding"), at(service, "ports"))
    for path, server in servers(service):
        if server.port is not None:
            what = (
                f"DR cannot change the port: it stays {ports} as the client chose, whatever is written here."
            )
            remedy = "Remove 'port' here, or use forwarding: nat, snat or proxy."
            yield Fault((*path, "port"), what, remedy, rests_on=needs)


def layer_4_stays_in_the_family(service: VirtualService) -> Iterator[Fault]:
    """At layer 4, VIP and real servers are all IPv4 or all IPv6."""
    if service.forwarding.layer != 4 or service.forwarding in LATER:
        return
    for path, server in servers(service):
        if server.address.version != service.vip.version:
            what = (
                f"{service.forwarding.upper()} cannot send IPv{service.vip.version} traffic to "
                f"{server.host}, which has an IPv{server.address.version} address."
            )
            remedy = "Use a host and a VIP of the same kind, or forwarding: proxy."
            needs = (at(service, "vip"), at(service, "forwarding"), ("hosts", server.host))
            yield Fault((*path, "host"), what, remedy, rests_on=needs)


_OF_HTTP = (CookiePersistence, ApplicationCookiePersistence, HeaderPersistence)


def persistence_fits_the_protocol(service: VirtualService) -> Iterator[Fault]:
    """Persistence by cookie or header needs HTTP, by AE title DICOM, by TLS session TLS that passes."""
    kept = service.persistence
    if kept is None or isinstance(kept, SourcePersistence):
        return
    path = at(service, "persistence", "kind")
    if service.forwarding.layer != 7:
        what = f"This persistence needs layer 7, and this service is forwarded by {service.forwarding}."
        remedy = "Use forwarding: proxy, or persistence of kind source-ip."
        yield Fault(path, what, remedy, rests_on=(at(service, "forwarding"),))
    spoken = f"and the application of this service is {service.application}"
    needs = (at(service, "application"),)
    if isinstance(kept, _OF_HTTP) and not service.application.is_http:
        remedy = "Set application: http (or mint), or use persistence of kind source-ip."
        yield Fault(path, f"A cookie or header needs HTTP, {spoken}.", remedy, rests_on=needs)
    if isinstance(kept, TitlePersistence) and not service.application.is_dicom:
        remedy = "Set application: dicom (or mwl), or use persistence of kind source-ip."
        yield Fault(path, f"An AE title needs DICOM, {spoken}.", remedy, rests_on=needs)
    if isinstance(kept, TlsSessionPersistence) and (service.tls is not None or service.application.is_http):
        what = "The TLS session can be seen only where TLS passes through to the real servers."
        remedy = "Remove 'tls' and use application: generic, or use another persistence."
        yield Fault(path, what, remedy, rests_on=(at(service, "tls"), *needs))


def mask_fits_the_family(service: VirtualService) -> Iterator[Fault]:
    """The mask of source persistence is no longer than the VIP's address."""
    longest = service.vip.max_prefixlen
    if isinstance(service.persistence, SourcePersistence) and service.persistence.mask > longest:
        what = f"The mask {service.persistence.mask} is longer than an IPv{service.vip.version} address."
        needs = (at(service, "vip"),)
        yield Fault(at(service, "persistence", "mask"), what, f"Use 1 to {longest}.", rests_on=needs)


def udp_is_layer_4(service: VirtualService) -> Iterator[Fault]:
    """UDP is carried at layer 4 only."""
    if service.protocol is Protocol.UDP and service.forwarding.layer != 4:
        what = "The layer-7 proxy carries TCP only."
        remedy = "Use forwarding: dr, nat or snat for UDP, or protocol: tcp."
        yield Fault(at(service, "protocol"), what, remedy, rests_on=(at(service, "forwarding"),))


def host_is_in_a_pool_once(service: VirtualService) -> Iterator[Fault]:
    """A host stands in a pool once."""
    first: dict[str, int] = {}
    for i, server in enumerate(service.pool):
        if first.setdefault(server.host, i) != i:
            what = f"{server.host} is already in this pool, as pool[{first[server.host]}]."
            remedy = "Keep one of the two; a larger weight gives it a larger share."
            yield Fault(at(service, "pool", i, "host"), what, remedy)


def fallback_stands_apart(service: VirtualService) -> Iterator[Fault]:
    """Warning: the fallback server is also in the pool."""
    fallback = service.fallback
    if fallback is not None and any(server.host == fallback.host for server in service.pool):
        what = f"{fallback.host} is also in the pool, so it is most likely down when the fallback is needed."
        remedy = "Name a host that is not in the pool, or remove the fallback."
        needs = (at(service, "pool"),)
        yield Fault(at(service, "fallback", "host"), what, remedy, Severity.WARNING, rests_on=needs)


def some_weight_is_left(service: VirtualService) -> Iterator[Fault]:
    """Warning: all weights of a pool are 0."""
    if service.pool and all(server.weight == 0 for server in service.pool):
        what = "All weights are 0, so no real server of this pool takes a new connection."
        remedy = "Give at least one a weight of 1 or more."
        yield Fault(
            at(service, "pool"),
            what,
            remedy,
            Severity.WARNING,
            rests_on=(("defaults", "weight"), at(service, "weight")),
        )


def check_ends_before_the_next(service: VirtualService) -> Iterator[Fault]:
    """Warning: a check's timeout is longer than its interval."""
    check = service.check
    if check.timeout_s > check.interval_s:
        what = (
            f"A look may take {check.timeout_s:g} s but the next is due after {check.interval_s:g} s, "
            "so a silent server is noticed later than the interval promises."
        )
        remedy = "Set a timeout no longer than the interval."
        yield Fault(at(service, "check"), what, remedy, Severity.WARNING, rests_on=(("defaults", "check"),))


def floor_is_within_the_pool(service: VirtualService) -> Iterator[Fault]:
    """A `floor` is no higher than the number of real servers."""
    if service.floor > len(service.pool):
        what = f"The floor of {service.floor} is above the {len(service.pool)} real servers of the pool."
        remedy = f"Use 1 to {len(service.pool)}; all would always serve otherwise, whatever checks say."
        yield Fault(at(service, "floor"), what, remedy, rests_on=(at(service, "pool"),))


def watermarks_are_apart(service: VirtualService) -> Iterator[Fault]:
    """The `low` watermark is below the `high` one."""
    marks = service.watermarks
    if marks is not None and marks.low >= marks.high:
        what = f"The low watermark ({marks.low}) is not below the high one ({marks.high})."
        yield Fault((*at(service, "watermarks"), "low"), what, f"Use less than {marks.high}.")


SERVICE_RULES: tuple[Callable[[VirtualService], Iterator[Fault]], ...] = (
    forwarding_is_carried,
    ports_are_named,
    layer_7_keys_need_layer_7,
    dr_keeps_the_port,
    layer_4_stays_in_the_family,
    persistence_fits_the_protocol,
    mask_fits_the_family,
    udp_is_layer_4,
    *TRANSLATION_RULES,
    *HTTP_RULES,
    *DICOM_RULES,
    *LIMITS_RULES,
    *TRANSPARENT_RULES,
    *TLS_RULES,
    host_is_in_a_pool_once,
    fallback_stands_apart,
    some_weight_is_left,
    floor_is_within_the_pool,
    watermarks_are_apart,
    check_ends_before_the_next,
    *CHECK_RULES,
)
