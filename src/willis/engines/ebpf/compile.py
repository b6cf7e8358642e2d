"""Config and Status to layer-4 artefacts, for the services that are forwarded as packets. Pure.

By direct routing the program sends a packet itself. For NAT and SNAT it chooses the
member and marks the packet; ``plan.marks`` says with what, and nftables translates.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from willis.engines.ebpf.entries import (
    Attachment,
    FallbackEntry,
    MemberEntry,
    ServiceEntry,
    Share,
    TableEntry,
)
from willis.engines.port import EngineError
from willis.model.config import Config
from willis.model.node import Attach, Interface
from willis.model.persistence import SourcePersistence
from willis.model.service import (
    TRANSLATED,
    Forwarding,
    RealServer,
    Scheduler,
    VirtualService,
)
from willis.model.status import Admin, Status, Verdict
from willis.plan.diff import Artefacts
from willis.plan.marks import Translated, marks
from willis.plan.members import Member, Standing, admin_of, members
from willis.plan.remembered import remembered

_STANDING_OF = {Admin.ONLINE: Standing.OPEN, Admin.DRAIN: Standing.DRAIN, Admin.HALT: Standing.DOWN}


_FORWARDED = (Forwarding.DR, *TRANSLATED)
_Marks = Mapping[Translated, int]


@remembered
def compile_l4(config: Config, status: Status) -> Artefacts:
    """What the layer-4 engine should hold.

    The program is attached to every interface of the node as soon as there is
    one service to forward: clients may come in by any of them.

    Raises:
        EngineError: a real server of a DR service lies in no subnet of the node's interfaces.
    """
    artefacts: dict[str, Hashable] = {}
    services = [service for service in config.services if service.forwarding in _FORWARDED]
    translated = any(service.forwarding in TRANSLATED for service in services)
    known = marks(config)
    for service in services:
        artefacts.update(_service(config, status, service, known))
    if services:
        for interface in config.interfaces:
            artefacts[f"attach/{interface.name}"] = _attachment(interface, translated)
    return artefacts


def _attachment(interface: Interface, translated: bool) -> Attachment:
    """XDP cannot mark packets, so it leaves translated services to tc behind it."""
    hooks = {interface.attach, Attach.TCX} if translated else {interface.attach}
    return Attachment(tuple(sorted(hooks)))


def _service(config: Config, status: Status, service: VirtualService, known: _Marks) -> dict[str, Hashable]:
    pool = members(service, status)
    name = service.name
    artefacts: dict[str, Hashable] = {
        f"service/{name}": _entry(service),
        f"table/{name}": TableEntry(
            _scheduler(service), tuple(_share(m, service, known) for m in pool if m.takes_new)
        ),
    }
    for member in pool:
        server = member.server
        interface, mark = _way(config, service, server, known)
        artefacts[f"member/{name}/{server.host}"] = MemberEntry(
            server.address, interface, _standing(member), mark
        )
    if service.fallback is not None:
        artefacts[f"fallback/{name}"] = _fallback(config, status, service, service.fallback, known)
    return artefacts


def _entry(service: VirtualService) -> ServiceEntry:
    persistence = service.persistence if isinstance(service.persistence, SourcePersistence) else None
    return ServiceEntry(
        service.vip,
        service.protocol,
        service.ports,
        persistence,
        service.forwarding in TRANSLATED,
        service.one_packet,
        service.timeouts,
    )


def _scheduler(service: VirtualService) -> Scheduler:
    """Datagrams that are scheduled one by one are no load that lasts: least connections become turns."""
    if service.one_packet and service.scheduler is Scheduler.WLC:
        return Scheduler.WRR
    return service.scheduler


def _share(member: Member, service: VirtualService, known: _Marks) -> Share:
    server = member.server
    return Share(server.host, server.address, member.weight, _mark(service, server, known))


def _standing(member: Member) -> Standing:
    """A member of weight 0 takes no new connection, not even of a persistent client: it drains.

    So does a hung one: it may still be finishing what it has, as an archive does whose workers are all busy.
    """
    if member.standing is Standing.DOWN and member.health.verdict is Verdict.HUNG:
        return Standing.DRAIN if member.admin is not Admin.HALT else Standing.DOWN
    if member.standing is Standing.OPEN and not member.takes_new:
        return Standing.DRAIN
    return member.standing


def _fallback(
    config: Config, status: Status, service: VirtualService, server: RealServer, known: _Marks
) -> FallbackEntry:
    interface, mark = _way(config, service, server, known)
    standing = _STANDING_OF[admin_of(status, service.name, server.host)]
    return FallbackEntry(server.host, server.address, interface, standing, mark)


def _way(config: Config, service: VirtualService, server: RealServer, known: _Marks) -> tuple[str, int]:
    """The interface that leads to a real server, or the mark that the stack routes it by."""
    mark = _mark(service, server, known)
    if mark:
        return "", mark
    interface = config.interface_to(server.address)
    if interface is None:
        raise EngineError(
            f"Service {service.name} cannot forward to {server.host} ({server.address}) by direct routing, "
            f"because no interface of this node lies in its subnet. Give an interface an address there."
        )
    return interface.name, 0


def _mark(service: VirtualService, server: RealServer, known: _Marks) -> int:
    return known.get((service.name, server.address, server.port), 0)
