"""Moves a site document onto loopback addresses, for the light twin. Pure: a tree in, a tree out.

Each address of the document gets one of ``127.SITE.0.0/16``, if possible with its own last
two numbers, so that ``10.60.0.101`` is easily known again as ``127.97.0.101``.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface
from typing import Any

from willis.lab.errors import LabError

Tree = dict[str, Any]

SITES = range(16, 251)
"""What SITE may be: each light twin draws one, so that two do not meet."""

_INTERFACE = "lo"
_WIDEST_MASK = 32


def moved(tree: Tree, site: int) -> Tree:
    """The document with one interface ``lo``, every address within ``127.site.0.0/16`` and no UDP.

    HAProxy carries layer 4 there, from whatever address the kernel chooses: no SNAT source is left.

    Raises LabError for more addresses than that network has.
    """
    result = without_udp(tree)
    table = _table(_addresses(tree), site)
    first = next(text for body in tree["interfaces"].values() for text in body["addresses"])
    own = table[ip_interface(first).ip]
    result["interfaces"] = {_INTERFACE: {"addresses": [f"{own}/16"]}}
    for name, host in result["hosts"].items():
        if isinstance(host, dict):
            host["address"] = str(table[ip_address(host["address"])])
        else:
            result["hosts"][name] = str(table[ip_address(host)])
    for body in result["services"].values():
        body["vip"] = str(table[ip_address(body["vip"])])
        body.pop("source", None)
        _narrow(body.get("persistence"))
    _narrow(result.get("defaults", {}).get("persistence"))
    return result


def udp_services(tree: Tree) -> list[str]:
    """The services that HAProxy cannot carry, and so a light twin neither."""
    return [name for name, body in tree["services"].items() if body.get("protocol") == "udp"]


def without_udp(tree: Tree) -> Tree:
    """A copy of the document without those. Raises LabError if nothing is left."""
    result = copy.deepcopy(tree)
    for name in udp_services(tree):
        del result["services"][name]
    if tree["services"] and not result["services"]:
        raise LabError("All services are UDP, which a light twin cannot carry: build a full twin as root.")
    return result


def _narrow(persistence: Any) -> None:  # noqa: ANN401 - a part of a document that may be anything
    """A mask for IPv6 clients becomes 'one client' for IPv4 ones."""
    if isinstance(persistence, dict) and persistence.get("mask", 0) > _WIDEST_MASK:
        persistence["mask"] = _WIDEST_MASK


def _addresses(tree: Tree) -> Iterable[IPv4Address | IPv6Address]:
    for body in tree["interfaces"].values():
        yield from (ip_interface(text).ip for text in body["addresses"])
    for host in tree["hosts"].values():
        yield ip_address(host["address"] if isinstance(host, dict) else host)
    for body in tree["services"].values():
        yield ip_address(body["vip"])


def _table(addresses: Iterable[IPv4Address | IPv6Address], site: int) -> dict[Any, IPv4Address]:
    """One loopback address for each; never two for one."""
    network = int(IPv4Address(f"127.{site}.0.0"))
    table: dict[Any, IPv4Address] = {}
    taken: set[int] = set()
    for address in dict.fromkeys(addresses):
        wanted = int(address) & 0xFFFF
        tries = (number & 0xFFFF for number in range(wanted, wanted + 0x10000))
        free = next((n for n in tries if n not in taken and 0 < n & 0xFF < 0xFF), None)
        if free is None:
            raise LabError("The document has more addresses than a light twin has on loopback.")
        taken.add(free)
        table[address] = IPv4Address(network + free)
    return table
