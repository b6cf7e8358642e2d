"""The kinds of addresses that the document may hold: of a machine, of an interface, of a network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network

from willis.config.problem import shown
from willis.config.scalars import Schema, Unfit, taken_for
from willis.model.proxy import Network as AnyNetwork
from willis.model.service import Address


@dataclass(frozen=True, slots=True)
class IPAddress:
    """The address of one machine, IPv4 or IPv6, without prefix, port or zone."""

    def read(self, text: str, plain: bool) -> Address:
        try:
            # A zone ("fe80::1%eth0") is free text to ipaddress, and no VIP or RIP needs one.
            address = ip_address(text if "%" not in text else "")
        except ValueError:
            raise Unfit(
                f"{shown(text)} is not an IP address{_address_reason(text)}.", "Write one such as 10.60.0.11."
            ) from None
        kind = _special(address)
        if kind:
            raise Unfit(
                f"{address} is {kind}, which no machine can have as its own.", "Write a unicast address."
            )
        return address

    def schema(self) -> Schema:
        return {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}

    def words(self) -> str:
        return "an IPv4 or IPv6 address"


def _address_reason(text: str) -> str:
    if "/" in text:
        return ": it has a prefix length"
    if re.match(r"\A[0-9.]+:[0-9]+\Z", text):
        return ": it has a port"
    if re.search(r"(\A|\.)0[0-9]", text):
        return ": a part begins with 0, which some programs read as octal"
    trap = taken_for(text)
    return f" (to YAML it is {trap})" if trap else ""


def _special(address: Address) -> str | None:
    if address.is_unspecified:
        return "the unspecified address"
    if address.is_multicast:
        return "a multicast address"
    if isinstance(address, IPv4Address):
        return "a reserved address" if address.is_reserved else None
    return "an IPv4 address in IPv6 clothing" if address.ipv4_mapped is not None else None


@dataclass(frozen=True, slots=True)
class OwnAddress:
    """An address of an interface with its subnet's prefix length."""

    def read(self, text: str, plain: bool) -> IPv4Interface | IPv6Interface:
        match = re.match(r"\A([^/%]+)/([0-9]{1,3})\Z", text)
        if match is None:
            raise Unfit(
                f"{shown(text)} is not an address with a prefix length.", "Write one such as 10.60.0.2/24."
            )
        address = IPAddress().read(match[1], plain)
        try:
            own = ip_interface(text)
        except ValueError:
            most = address.max_prefixlen
            raise Unfit(f"/{match[2]} is no prefix length of {address}.", f"Use /1 to /{most}.") from None
        if own.network.prefixlen == 0:
            raise Unfit(
                f"{own} would put every address into this subnet.", "Write the subnet's prefix length."
            )
        if is_edge(address, own):
            raise Unfit(
                f"{address} is the first or last of its subnet {own.network}.",
                "Write the node's address in it.",
            )
        return own

    def schema(self) -> Schema:
        return {"type": "string", "pattern": "^[0-9A-Fa-f.:]+/[0-9]{1,3}$"}

    def words(self) -> str:
        return "an address with its prefix length, such as 10.60.0.2/24"


def is_edge(address: Address, own: IPv4Interface | IPv6Interface) -> bool:
    """Whether ``address`` is the network or broadcast address of an IPv4 subnet (RFC 3021: not in a /31)."""
    network = own.network
    if network.version == 6 or network.prefixlen >= 31:
        return False
    return address in (network.network_address, network.broadcast_address)


@dataclass(frozen=True, slots=True)
class Network:
    """A network by its first address and prefix length; a bare address is a network of one."""

    def read(self, text: str, plain: bool) -> AnyNetwork:
        try:
            return ip_network(text if "%" not in text else "")
        except ValueError as error:
            why = ": it has bits beyond its prefix" if "host bits" in str(error) else ""
            raise Unfit(
                f"{shown(text)} is no network{why}.", "Write one such as 10.60.0.0/24, or an address."
            ) from None

    def schema(self) -> Schema:
        return {"type": "string", "pattern": "^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$"}

    def words(self) -> str:
        return "a network such as 10.60.0.0/24, or an address"
