"""Which process of a host listens where, and to which service a connection there belongs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from willis.lab.blueprint import Blueprint, BlueprintError, Listen, Piece
from willis.model.config import Config
from willis.model.service import Application, Forwarding, Protocol, RealServer, VirtualService


def servers_of(service: VirtualService) -> Iterator[RealServer]:
    """All that may serve: the pool, then the fallback server."""
    yield from service.pool
    if service.fallback is not None:
        yield service.fallback


def ports_of(service: VirtualService, server: RealServer) -> tuple[int, ...]:
    """The ports that a real server of the service listens on."""
    return service.ports if server.port is None else (server.port,)


@dataclass(frozen=True, slots=True)
class _Duty:
    """One port that a host serves for one service."""

    service: VirtualService
    server: RealServer
    port: int
    protocol: Protocol
    application: Application


def pieces(config: Config, host: str, *, own_only: bool = False) -> Iterator[Piece]:
    """The processes of a host. ``own_only``: bind the host's address alone (loopback is shared)."""
    duties = _served(config, host)
    applications: dict[tuple[int, Protocol], Application] = {}
    for duty in duties:
        first = applications.setdefault((duty.port, duty.protocol), duty.application)
        if first is not duty.application:
            raise BlueprintError(
                f"Port {duty.port} of host {host!r} would have to speak both {first} and "
                f"{duty.application} (service {duty.service.name!r}): give one of the services "
                "another port or application."
            )
    duties += _checked(config, host, frozenset(applications))
    for application in dict.fromkeys(duty.application for duty in duties):
        mine = [duty for duty in duties if duty.application is application]
        yield Piece(str(application), _listens(mine, own_only=own_only), _attribution(mine))


def _served(config: Config, host: str) -> list[_Duty]:
    """What the host's real servers must answer."""
    return [
        _Duty(service, server, port, service.protocol, service.application)
        for service in config.services
        for server in dict.fromkeys(servers_of(service))
        if server.host == host
        for port in ports_of(service, server)
    ]


def _checked(config: Config, host: str, served: frozenset[tuple[int, Protocol]]) -> list[_Duty]:
    """What the host must answer only to be found alive: a check may ask a port that no service uses."""
    asked = (
        (service, server, service.check.port or ports_of(service, server)[0])
        for service in config.services
        for server in service.pool
        if server.host == host
    )
    return [
        _Duty(service, server, port, Protocol.TCP, Application.GENERIC)
        for service, server, port in asked
        if (port, Protocol.TCP) not in served
    ]


def _listens(duties: list[_Duty], *, own_only: bool) -> tuple[Listen, ...]:
    """TCP binds the wildcard; UDP binds each address, since its answers must come from the VIP."""
    found: set[Listen] = set()
    for duty in duties:
        addresses: list[str] = [str(duty.server.address)]
        if duty.service.forwarding is Forwarding.DR:
            addresses.append(str(duty.service.vip))
        if own_only:
            addresses = addresses[:1]
        elif duty.protocol is Protocol.TCP:
            addresses = ["::" if ":" in address else "0.0.0.0" for address in addresses]  # noqa: S104 - in a namespace of its own
        found.update(Listen(address, duty.port, duty.protocol) for address in addresses)
    return tuple(sorted(found))


def _attribution(duties: list[_Duty]) -> tuple[tuple[str, int, str], ...]:
    names: dict[tuple[str, int], list[str]] = {}
    for duty in duties:
        places = [(str(duty.server.address), duty.port)]
        if duty.service.forwarding is Forwarding.DR:
            places.append((str(duty.service.vip), duty.port))
        for place in places:
            known = names.setdefault(place, [])
            if duty.service.name not in known:
                known.append(duty.service.name)
    return tuple((address, port, "+".join(services)) for (address, port), services in names.items())


def with_orthanc(blueprint: Blueprint) -> Blueprint:
    """The last host's DICOM port goes to a real Orthanc, and its web pieces stand in front of it.

    Orthanc has one DICOM port; further ones stay with the ``dicom`` piece. Raises
    BlueprintError where the last host serves no DICOM.
    """
    last = blueprint.servers[-1] if blueprint.servers else None
    dicom = last.piece("dicom") if last is not None else None
    if last is None or dicom is None:
        raise BlueprintError(
            "Orthanc needs a DICOM service on the last host of the document, which has none."
        )
    port = dicom.listens[0].port
    parts = [
        Piece(
            name,
            tuple(listen for listen in dicom.listens if (listen.port == port) is theirs),
            tuple(entry for entry in dicom.services if (entry[1] == port) is theirs),
        )
        for name, theirs in (("orthanc", True), ("dicom", False))
    ]
    others = tuple(piece for piece in last.pieces if piece.name != "dicom")
    changed = replace(last, pieces=(*(part for part in parts if part.listens), *others))
    return replace(blueprint, machines=tuple(changed if m is last else m for m in blueprint.machines))
