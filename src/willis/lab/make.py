"""From what a user asks for to a running twin: which document, which kind, and why that kind."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from willis.lab import build, probe, source, twin
from willis.lab.errors import LabError
from willis.lab.twin import Twin

Say = Callable[[str], None]

_EXTRAS = ("orthanc",)


@dataclass(frozen=True, slots=True)
class Order:
    """What the user wants."""

    name: str
    source: str
    servers: int | None = None
    extras: tuple[str, ...] = ()
    light: bool = False
    """Even where a full twin could be built; ``WILLIS_TWIN=light`` means the same."""
    topology: str | None = None
    """See ``topology.Topology``; None: as the document has it."""


def make(order: Order, say: Say) -> Twin:
    """Build the twin. Where the machine cannot carry a full one, say why and build the light one.

    Raises LabError.
    """
    lacking = probe.missing_for_any()
    if lacking:
        raise LabError(f"No twin can be built here. Missing: {'; '.join(lacking)}.")
    light = _is_light(order, say)
    _check_extras(order, light)
    document = source.document(order.source, order.servers)
    if order.topology is not None:
        if light:
            raise LabError("A light twin has no network to arrange: leave out --topology, or run as root.")
        document = source.in_topology(document, order.topology)
    if light:
        left_out = source.udp_services(document)
        if left_out:
            say(f"left out, since HAProxy does not carry UDP: {', '.join(left_out)}")
        document = source.on_loopback(document)
    planned = twin.plan(order.name, document, light=light, orthanc="orthanc" in order.extras)
    if light:
        _check_ports(planned)
    say(f"building the {'light twin' if light else 'twin'} {order.name!r}: {_summary(planned)}")
    build.up(planned)
    return planned


def _check_extras(order: Order, light: bool) -> None:
    unknown = [extra for extra in order.extras if extra not in _EXTRAS]
    if unknown:
        raise LabError(f"--with {unknown[0]} is not known; there is: {', '.join(_EXTRAS)}.")
    if "orthanc" not in order.extras:
        return
    if light:
        raise LabError(
            "Orthanc binds its ports on all addresses, which a light twin's hosts share: "
            "leave out --with orthanc, or build a full twin as root."
        )
    lacking = probe.missing_for_orthanc()
    if lacking:
        raise LabError(f"There is no Orthanc here. Missing: {'; '.join(lacking)}.")


def _check_ports(planned: Twin) -> None:
    """In a light twin the ports are this machine's own, and the low ones may be root's."""
    lowest = probe.lowest_free_port()
    services = [s.name for s in planned.config.services if s.ports[0] < lowest]
    pieces = [
        f"{m.name} {p.name}" for m in planned.blueprint.servers for p in m.pieces if p.lowest_port < lowest
    ]
    if services or pieces:
        raise LabError(
            f"Ports below {lowest} are for root here, and these need some: {', '.join(services + pieces)}. "
            "Run as root, or give them higher ports."
        )


def _is_light(order: Order, say: Say) -> bool:
    if order.light or os.environ.get("WILLIS_TWIN") == "light":
        return True
    lacking = probe.missing_for_full()
    if not lacking:
        return False
    say("This machine cannot carry the full twin. Missing:")
    for reason in lacking:
        say(f"  - {reason}")
    say("Running the light twin instead: hosts on loopback addresses, layer 4 carried by HAProxy.")
    return True


def _summary(planned: Twin) -> str:
    hosts, services = len(planned.blueprint.servers), len(planned.config.services)
    return f"site {planned.config.site}, {hosts} imaging hosts, {services} services"
