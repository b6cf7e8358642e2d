"""Reads the node's interfaces, default routes and settings in the calling thread's network namespace."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from willis.doctor.seen import Gateway, Link, Place, Settings
from willis.model.service import Address

_SYS = Path("/proc/sys/net")
_ETHERNET = 1
"""ARPHRD_ETHER."""
_STRICT = 1
_UNRESOLVED = 0x01 | 0x20
"""NUD_INCOMPLETE, NUD_FAILED (linux/neighbour.h)."""
_MAIN = 254
"""RT_TABLE_MAIN."""


def links() -> dict[str, Link]:
    """The interfaces by name. Raises OSError."""
    with _netlink() as route:
        addresses: dict[int, set[Address]] = {}
        for each in route.get_addr():
            text = each.get_attr("IFA_LOCAL") or each.get_attr("IFA_ADDRESS")
            addresses.setdefault(each["index"], set()).add(ip_address(text))
        found = [_link(each, frozenset(addresses.get(each["index"], ()))) for each in route.get_links()]
    return {link.name: link for link in found}


def wires() -> dict[str, Link]:
    """The same without their addresses, of which there may be hundreds. Raises OSError."""
    with _netlink() as route:
        found = [_link(each, frozenset()) for each in route.get_links()]
    return {link.name: link for link in found}


def neighbours() -> dict[Place, frozenset[bytes]]:
    """The MAC that the kernel sends to for each address it knows, in the form of ``Seen.owners``."""
    found = {}
    with _netlink() as route:
        for each in route.get_neighbours():
            address, mac = each.get_attr("NDA_DST"), each.get_attr("NDA_LLADDR")
            if address and mac and not each["state"] & _UNRESOLVED:
                place = socket.if_indextoname(each["ifindex"]), ip_address(address)
                found[place] = frozenset({bytes.fromhex(mac.replace(":", ""))})
    return found


def gateways() -> tuple[Gateway, ...]:
    """The default routes of the main table."""
    found = []
    with _netlink() as route:
        for family in (socket.AF_INET, socket.AF_INET6):
            for each in route.get_default_routes(family=family, table=_MAIN):
                index, address = each.get_attr("RTA_OIF"), each.get_attr("RTA_GATEWAY")
                if index is not None:
                    found.append(
                        Gateway(socket.if_indextoname(index), ip_address(address) if address else None)
                    )
    return tuple(found)


def settings() -> Settings:
    """What decides how long silence is borne."""
    return Settings(
        conntrack_s=_number("netfilter/nf_conntrack_tcp_timeout_established"),
        keepalive_s=_number("ipv4/tcp_keepalive_time"),
    )


def _number(name: str) -> int | None:
    try:
        return int((_SYS / name).read_text())
    except (OSError, ValueError):
        return None


@contextmanager
def _netlink() -> Iterator[Any]:
    """Raises OSError where pyroute2 has an error of its own."""
    try:
        with IPRoute() as route:
            yield route
    except NetlinkError as error:
        raise OSError(error.code, str(error)) from error


def _link(message: Any, addresses: frozenset[Address]) -> Link:  # noqa: ANN401 - pyroute2 has no types
    name: str = message.get_attr("IFLA_IFNAME")
    mac = message.get_attr("IFLA_ADDRESS") or ""
    return Link(
        name=name,
        mac=bytes.fromhex(mac.replace(":", "")) if message["ifi_type"] == _ETHERNET else b"",
        mtu=message.get_attr("IFLA_MTU"),
        carrier=bool(message.get_attr("IFLA_CARRIER")),
        addresses=addresses,
        strict=_filter(name) == _STRICT,
    )


def _filter(interface: str) -> int:
    """The reverse path filter that holds: the higher of the interface's and that of all (ip-sysctl.rst)."""
    names = ("all", interface)
    return max(_number(f"ipv4/conf/{each}/rp_filter") or 0 for each in names)
