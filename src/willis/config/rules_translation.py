"""Rules about address translation (NAT, SNAT) and what else a service may ask of layer 4.

Those of a service alone are ``TRANSLATION_RULES``, those that need the whole site
``TRANSLATION_SITE_RULES``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from willis.config.places import at, servers
from willis.config.problem import Fault, Path, Severity
from willis.model.config import Config
from willis.model.service import (
    TRANSLATED,
    Address,
    Application,
    Forwarding,
    Protocol,
    Timeouts,
    VirtualService,
)

_INTERFACES: Path = ("interfaces",)


def source_is_for_snat(service: VirtualService) -> Iterator[Fault]:
    """The key `source` belongs to forwarding `snat`; it is IPv4 or IPv6 as the VIP is."""
    if service.source is None:
        return
    path = at(service, "source")
    if service.forwarding is not Forwarding.SNAT:
        what = f"Forwarding '{service.forwarding}' has no use for a source: only snat changes it."
        remedy = "Remove 'source', or use forwarding: snat."
        yield Fault(path, what, remedy, rests_on=(at(service, "forwarding"),))
    elif service.source.version != service.vip.version:
        what = f"IPv{service.vip.version} traffic cannot get the source {service.source}."
        remedy = f"Write an IPv{service.vip.version} address of the node."
        yield Fault(path, what, remedy, rests_on=(at(service, "vip"),))


def one_packet_is_for_datagrams(service: VirtualService) -> Iterator[Fault]:
    """The key `one-packet` belongs to UDP at layer 4."""
    if service.one_packet and (service.protocol is not Protocol.UDP or service.forwarding.layer != 4):
        what = "Only UDP at layer 4 can be scheduled packet by packet: a connection needs all of its packets."
        remedy = "Remove 'one-packet', or use protocol: udp with forwarding: dr, nat or snat."
        needs = (at(service, "protocol"), at(service, "forwarding"))
        yield Fault(at(service, "one-packet"), what, remedy, rests_on=needs)


def one_packet_is_for_dr(service: VirtualService) -> Iterator[Fault]:
    """Warning: `one-packet` with `nat` or `snat`."""
    if service.one_packet and service.protocol is Protocol.UDP and service.forwarding in TRANSLATED:
        what = (
            f"With {service.forwarding}, datagrams from one port of a client stay on one server while the "
            "translation is remembered: answers could not find their way back otherwise."
        )
        remedy = "Use forwarding: dr, or remove 'one-packet'."
        needs = (at(service, "protocol"), at(service, "forwarding"))
        yield Fault(at(service, "one-packet"), what, remedy, Severity.WARNING, rests_on=needs)


def timeouts_are_layer_4(service: VirtualService) -> Iterator[Fault]:
    """The key `timeouts` belongs to layer 4."""
    if service.forwarding.layer != 4 and service.timeouts != Timeouts():
        what = "These time-outs are of layer 4, and this service goes through the layer-7 proxy."
        remedy = "Remove 'timeouts', or use forwarding: dr, nat or snat."
        yield Fault(at(service, "timeouts"), what, remedy, rests_on=(at(service, "forwarding"),))


def a_translated_port_is_one(service: VirtualService) -> Iterator[Fault]:
    """Warning: several ports of a `nat` or `snat` service that all go to one port of a real server."""
    if service.forwarding not in TRANSLATED or len(service.ports) < 2:
        return
    for path, server in servers(service):
        if server.port is not None:
            what = (
                f"All {len(service.ports)} ports of this service go to port {server.port} of {server.host}."
            )
            remedy = "Remove 'port' to keep each port as it is, or make one service of each port."
            needs = (at(service, "forwarding"), at(service, "ports"))
            yield Fault((*path, "port"), what, remedy, Severity.WARNING, rests_on=needs)


def snat_hides_the_client(service: VirtualService) -> Iterator[Fault]:
    """Warning: `snat` in front of DICOM, where servers may check AE titles against addresses."""
    if service.forwarding is Forwarding.SNAT and service.application in (Application.DICOM, Application.MWL):
        seen = service.source or "the node's address"
        what = (
            f"With SNAT the real servers see {seen} instead of the modality: one that checks the AE title "
            "against the IP address refuses the association, and logs no longer tell the modalities apart."
        )
        remedy = "Use forwarding: dr or nat, or allow that address for every AE title on the servers."
        needs = (at(service, "application"), at(service, "source"))
        yield Fault(at(service, "forwarding"), what, remedy, Severity.WARNING, rests_on=needs)


def source_is_the_nodes(config: Config) -> Iterator[Fault]:
    """The source of SNAT is an address of the node or a VIP of the document."""
    own = {own.ip for interface in config.interfaces for own in interface.addresses}
    vips = {service.vip: service.name for service in config.services}
    for service in config.services:
        if service.source is None or service.source in own or service.source in vips:
            continue
        what = f"{service.source} is neither an address of the node nor a VIP, so no answer would come back."
        remedy = f"Write one of the node's ({', '.join(map(str, sorted(own, key=str)))}), or a VIP."
        needs = (_INTERFACES, *(at(other, "vip") for other in config.services))
        yield Fault(at(service, "source"), what, remedy, rests_on=needs)


def nat_answers_return_through_the_node(config: Config) -> Iterator[Fault]:
    """Warning: `nat` needs the node as the servers' gateway; told once a subnet, with the address."""
    told: dict[Address | None, tuple[VirtualService, list[str]]] = {}
    for service in config.services:
        if service.forwarding is Forwarding.NAT:
            for _, server in servers(service):
                gateway = config.own_address_facing(server.address)
                _, hosts = told.setdefault(gateway, (service, []))
                if server.host not in hosts:
                    hosts.append(server.host)
    for gateway, (service, hosts) in told.items():
        names = ", ".join(hosts)
        what = f"In NAT the answers of {names} must return through the node, or clients never see them."
        remedy = (
            f"Make {gateway} their default gateway"
            if gateway is not None
            else "They are in no subnet of the node: let their router send what comes from them to the node"
        )
        needs = (_INTERFACES, *(("hosts", host) for host in hosts))
        path = at(service, "forwarding")
        yield Fault(path, what, f"{remedy}; docs/guide/nat-and-snat.md says how.", Severity.WARNING, needs)


TRANSLATION_RULES: tuple[Callable[[VirtualService], Iterator[Fault]], ...] = (
    source_is_for_snat,
    one_packet_is_for_datagrams,
    one_packet_is_for_dr,
    timeouts_are_layer_4,
    a_translated_port_is_one,
    snat_hides_the_client,
)
TRANSLATION_SITE_RULES: tuple[Callable[[Config], Iterator[Fault]], ...] = (
    source_is_the_nodes,
    nat_answers_return_through_the_node,
)
