"""Hosts and interfaces: the machines and the wires between them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Interface, IPv6Interface

from willis.model.service import Address, Need


class Attach(StrEnum):
    """Where the layer-4 program sits: ``tcx`` on any interface, ``xdp`` natively on physical NICs."""

    TCX = "tcx"
    XDP = "xdp"


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface of the node, with the addresses that the operating system gave it."""

    name: str
    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    attach: Attach = Attach.TCX

    def reaches(self, address: Address) -> bool:
        """Whether ``address`` lies in a subnet of this interface (layer-2 reach)."""
        return any(address in own.network for own in self.addresses)


@dataclass(frozen=True, slots=True)
class Host:
    """A machine that carries real servers of one or more services."""

    name: str
    address: Address
    needs: tuple[Need, ...] = ()
    """Without one of these nothing on it works."""
