"""Interfaces, addresses, routes and neighbours, over rtnetlink: who we are on a wire, and where others live.

Hand-made because the daemon asks every second: a dump costs microseconds here.
Each call opens its own socket, so it speaks of the calling thread's network
namespace. Sources: rtnetlink(7); ``linux/neighbour.h`` for managed entries (5.16).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from struct import Struct, pack, unpack_from

from willis.model.service import Address

_HEADER = Struct("=IHHII")
_ATTRIBUTE = Struct("=HH")
_ERROR, _DONE = 2, 3
REQUEST, ACK, CREATE, DUMP = 0x1, 0x4, 0x400, 0x300
_GETLINK, _GETADDR, _GETROUTE = 18, 22, 26
_NEWNEIGH, _DELNEIGH, _GETNEIGH = 28, 29, 30
_IFLA_ADDRESS, _IFLA_IFNAME = 1, 3
_IFA_ADDRESS, _IFA_LOCAL, _IFA_PROTO = 1, 2, 11
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_TABLE = 1, 4, 5, 6, 15
_LOCAL_TABLE = 255
_NDA_DST, _NDA_LLADDR, _NDA_FLAGS_EXT = 1, 2, 15
_NTF_USE, _NTF_EXT_MANAGED = 0x1, 0x1
_USABLE = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80
"""NUD_REACHABLE, STALE, DELAY, PROBE, NOARP, PERMANENT: states with a MAC to send to."""
_PERMANENT = 0x80
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_RECEIVE = 1 << 16

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface of the namespace."""

    index: int
    mac: bytes


@dataclass(frozen=True, slots=True)
class Own:
    """An address of this namespace."""

    index: int
    """Of its interface."""
    address: Address
    protocol: int
    """Who made it (IFA_PROTO, Linux 5.18); 0: nobody says."""


@dataclass(frozen=True, slots=True)
class Route:
    """A route, as far as Willis cares."""

    destination: Network
    table: int
    protocol: int
    """Who made it (rtnetlink(7), ``rtm_protocol``)."""
    kind: int
    """``rtm_type``: RTN_UNICAST is 1, RTN_LOCAL 2."""
    interface: int | None
    """Index of the one that it leaves by; none for instance where there are several."""
    gateway: Address | None
    metric: int
    """The smaller, the better."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """What the kernel knows of an address on an interface."""

    mac: bytes | None
    """None where it is not resolved."""
    kept: bool
    """Whether the kernel keeps it fresh by itself, or an administrator has fixed it."""


def links() -> dict[str, Link]:
    """The interfaces by name."""
    found = {}
    for body in ask(_GETLINK, REQUEST | DUMP, bytes(16)):
        given = attributes(body, 16)
        name = given.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace")
        found[name] = Link(unpack_from("=i", body, 4)[0], given.get(_IFLA_ADDRESS, b""))
    return found


def addresses() -> list[Own]:
    """All of this namespace."""
    found = []
    for body in ask(_GETADDR, REQUEST | DUMP, bytes(8)):
        given = attributes(body, 8)
        # Of a point-to-point link, IFA_ADDRESS is the other end.
        packed = given.get(_IFA_LOCAL) or given[_IFA_ADDRESS]
        protocol = given.get(_IFA_PROTO, b"\0")[0]
        found.append(Own(unpack_from("=I", body, 4)[0], ip_address(packed), protocol))
    return found


def routes() -> list[Route]:
    """Those of both families in all tables but the kernel's own for its addresses."""
    found = []
    for version, family in _FAMILY.items():
        for body in ask(_GETROUTE, REQUEST | DUMP, pack("=B11x", family)):
            bits, table, protocol, kind = unpack_from("=xBxxBBxB", body)
            if table == _LOCAL_TABLE:
                continue
            given = attributes(body, 12)
            any_ = bytes(4 if version == 4 else 16)
            gateway = given.get(_RTA_GATEWAY)
            found.append(
                Route(
                    ip_network((given.get(_RTA_DST, any_), bits)),
                    _number(given.get(_RTA_TABLE)) or table,
                    protocol,
                    kind,
                    _number(given.get(_RTA_OIF)),
                    None if gateway is None else ip_address(gateway),
                    _number(given.get(_RTA_PRIORITY)) or 0,
                )
            )
    return found


def _number(given: bytes | None) -> int | None:
    return None if given is None else int(unpack_from("=I", given)[0])


def neighbours() -> dict[tuple[int, Address], Neighbour]:
    """The neighbours by interface index and address."""
    found = {}
    for body in ask(_GETNEIGH, REQUEST | DUMP, bytes(12)):
        family, index, state = unpack_from("=BxxxiH", body)
        given = attributes(body, 12)
        if family not in _FAMILY.values() or _NDA_DST not in given:
            continue
        mac = given.get(_NDA_LLADDR) if state & _USABLE else None
        extended = unpack_from("=I", given.get(_NDA_FLAGS_EXT, bytes(4)))[0]
        kept = bool(state & _PERMANENT or extended & _NTF_EXT_MANAGED)
        found[index, ip_address(given[_NDA_DST])] = Neighbour(mac, kept)
    return found


def keep(index: int, address: Address) -> None:
    """Has the kernel resolve the address now and keep it fresh from now on."""
    body = _neighbour(index, address, _NTF_USE) + pack_attribute(_NDA_FLAGS_EXT, pack("=I", _NTF_EXT_MANAGED))
    list(ask(_NEWNEIGH, REQUEST | CREATE | ACK, body))


def forget(index: int, address: Address) -> None:
    """Ends ``keep``. The kernel resolves the address again when it needs it."""
    list(ask(_DELNEIGH, REQUEST | ACK, _neighbour(index, address, 0)))


def _neighbour(index: int, address: Address, flags: int) -> bytes:
    header = pack("=BxxxiHBB", _FAMILY[address.version], index, 0, flags, 0)
    return header + pack_attribute(_NDA_DST, address.packed)


def pack_attribute(kind: int, value: bytes) -> bytes:
    """An attribute with its header, padded (netlink(7))."""
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(body: bytes, at: int = 0) -> dict[int, bytes]:
    """The attributes of a message or a nest by kind, from ``at`` on."""
    found = {}
    while at + 4 <= len(body):
        size, kind = _ATTRIBUTE.unpack_from(body, at)
        found[kind & 0x3FFF] = body[at + 4 : at + size]
        at += size + -size % 4
    return found


def ask(kind: int, flags: int, body: bytes) -> Iterator[bytes]:
    """Sends one request; yields the bodies of the answers. Raises OSError."""
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    ) as wire:
        wire.sendto(_HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body, (0, 0))
        while True:
            answer = wire.recv(_RECEIVE)
            at = 0
            while at + _HEADER.size <= len(answer):
                size, answered, _, _, _ = _HEADER.unpack_from(answer, at)
                payload = answer[at + _HEADER.size : at + size]
                if answered == _DONE:
                    return
                if answered == _ERROR:
                    number = -unpack_from("=i", payload)[0]
                    if number:
                        raise OSError(number, os.strerror(number))
                    return
                yield payload
                at += size + -size % 4
