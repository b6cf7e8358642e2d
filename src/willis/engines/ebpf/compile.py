"""Config and Status to layer-4 artefacts, for the services that are forwarded by direct routing. Pure."""

from __future__ import annotations

from collections.abc import Hashable

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
from willis.model.service import Forwarding, RealServer, SourcePersistence, VirtualService
from willis.model.status import Admin, Status
from willis.plan.diff import Artefacts
from willis.plan.members import Member, Standing, admin_of, members

_STANDING_OF = {Admin.ONLINE: Standing.OPEN, Admin.DRAIN: Standing.DRAIN, Admin.HALT: Standing.DOWN}


def compile_l4(config: Config, status: Status) -> Artefacts:
    """What the layer-4 engine should hold.

    The program is attached to every interface of the node as soon as there is
    one service to forward: clients may come in by any of them.

    Raises:
        EngineError: a real server lies in no subnet of the node's interfaces.
    """
    artefacts: dict[str, Hashable] = {}
    services = [service for service in config.services if service.forwarding is Forwarding.DR]
    for service in services:
        artefacts.update(_service(config, status, service))
    if services:
        for interface in config.interfaces:
            artefacts[f"attach/{interface.name}"] = Attachment((interface.attach,))
    return artefacts


def _service(config: Config, status: Status, service: VirtualService) -> dict[str, Hashable]:
    pool = members(service, status)
    persistence = service.persistence if isinstance(service.persistence, SourcePersistence) else None
    name = service.name
    artefacts: dict[str, Hashable] = {
        f"service/{name}": ServiceEntry(service.vip, service.protocol, service.ports, persistence),
        f"table/{name}": TableEntry(service.scheduler, tuple(_share(m) for m in pool if m.takes_new)),
    }
    for member in pool:
        server = member.server
        artefacts[f"member/{name}/{server.host}"] = MemberEntry(
            server.address, _interface(config, service, server), _standing(member)
        )
    if service.fallback is not None:
        artefacts[f"fallback/{name}"] = _fallback(config, status, service, service.fallback)
    return artefacts


def _share(member: Member) -> Share:
    return Share(member.server.host, member.server.address, member.server.weight)


def _standing(member: Member) -> Standing:
    """A member of weight 0 takes no new connection, not even of a persistent client: it drains."""
    if member.standing is Standing.OPEN and not member.takes_new:
        return Standing.DRAIN
    return member.standing


def _fallback(config: Config, status: Status, service: VirtualService, server: RealServer) -> FallbackEntry:
    return FallbackEntry(
        server.host,
        server.address,
        _interface(config, service, server),
        _STANDING_OF[admin_of(status, service.name, server.host)],
    )


def _interface(config: Config, service: VirtualService, server: RealServer) -> str:
    interface = config.interface_to(server.address)
    if interface is None:
        raise EngineError(
            f"Service {service.name} cannot forward to {server.host} ({server.address}) by direct routing, "
            f"because no interface of this node lies in its subnet. Give an interface an address there."
        )
    return interface.name
