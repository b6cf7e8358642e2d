"""Judges whom a request is meant for and where it comes from. Pure.

A page of somebody else whose name suddenly leads to the node's address (DNS rebinding) makes the
browser send that name; so only names that were given are answered to. An address cannot be
rebound: the one that the connection really came to always counts.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_HOST = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")


def meant(host: str, names: Collection[str], local: str) -> bool:
    """Whether a ``Host`` header means this node.

    ``names`` are in lower case; ``local`` is the address that the connection came to.
    """
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = found["name"].strip("[]").lower().rstrip(".")
    if name in names:
        return True
    address, own = plain_address(name), plain_address(local)
    return address is not None and address == own


def plain_address(text: str) -> Address | None:
    """The address that ``text`` is, an IPv4 one also where it is written as IPv6; None: it is a name."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def allowed(client: str, networks: Collection[Network]) -> bool:
    """Whether a client may ask at all. No networks: everybody may."""
    address = plain_address(client)
    return not networks or (address is not None and any(address in network for network in networks))
