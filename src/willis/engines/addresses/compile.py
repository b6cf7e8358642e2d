"""From Config to the VIPs that the node must own. Pure.

A VIP stands on the interface whose subnet holds it, as /32 (IPv6: /128), so that
it never adds a route of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from willis.model.config import Config
from willis.model.service import Address
from willis.model.status import Status


@dataclass(frozen=True, slots=True)
class Vip:
    """An address that the node answers for on one interface."""

    address: Address
    interface: str


def compile_vips(config: Config, status: Status) -> dict[str, Vip]:
    """One artefact a VIP, whatever its health: a service that is down still owns its address."""
    vips = {}
    for service in config.services:
        interface = config.interface_to(service.vip)
        if interface is not None:
            vips[f"vip/{service.vip}"] = Vip(service.vip, interface.name)
    return vips
