"""Ethernet frames that ask who owns an address, and their answers. Pure.

IPv4: for VIPs ARP probes, whose sender address is 0.0.0.0, so that nobody learns anything from
them (RFC 5227, 2.1.1). IPv6: neighbour solicitations from the node's own address. One from ``::``
would be answered to all nodes, and their caches would take the answer (RFC 4861, 7.2.4).
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

from willis.model.service import Address

ETH_ARP, ETH_IPV4, ETH_IPV6 = 0x0806, 0x0800, 0x86DD
ETHERNET = 14
"""Bytes of an Ethernet header."""
_BROADCAST = b"\xff" * 6
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_ARP_HEAD = (1, ETH_IPV4, 6, 4)
_REQUEST, _REPLY = 1, 2
ICMPV6 = 58
_SOLICITATION, ADVERTISEMENT = 135, 136
_SOURCE_LINK, _TARGET_LINK = 1, 2
_ANY_LIMIT = 255
"""The hop limit that proves a neighbour: no router passed it on (RFC 4861, 7.1)."""


def mac_text(mac: bytes) -> str:
    return mac.hex(":")


def who_has(target: Address, mac: bytes, own: Address | None) -> bytes:
    """The frame that asks for ``target``. ``mac``: ours; ``own``: our address on that wire.

    IPv4 without ``own`` is a probe. IPv6 needs one.
    """
    if isinstance(target, IPv4Address):
        sender = bytes(4) if own is None else own.packed
        body = _ARP.pack(*_ARP_HEAD, _REQUEST, mac, sender, bytes(6), target.packed)
        return _BROADCAST + mac + struct.pack("!H", ETH_ARP) + body
    if not isinstance(own, IPv6Address):
        raise ValueError(f"{target} can only be asked for from an IPv6 address")
    return _solicitation(target, mac, own)


def owner(frame: bytes) -> tuple[Address, bytes] | None:
    """Who says that an address is its own: the address and the MAC. None for any other frame."""
    kind = int.from_bytes(frame[12:14])
    if kind == ETH_ARP and len(frame) >= ETHERNET + _ARP.size:
        *head, operation, mac, address, _, _ = _ARP.unpack_from(frame, ETHERNET)
        return (IPv4Address(address), mac) if (*head, operation) == (*_ARP_HEAD, _REPLY) else None
    return _advertised(frame) if kind == ETH_IPV6 else None


def checksum(*parts: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    raw = b"".join(parts)
    raw += bytes(len(raw) % 2)
    total: int = sum(struct.unpack(f"!{len(raw) // 2}H", raw))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pseudo_header(source: Address, destination: Address, protocol: int, size: int) -> bytes:
    """What TCP and ICMPv6 sum up besides their own bytes (RFC 9293, 3.1; RFC 8200, 8.1)."""
    layout = "!BBH" if source.version == 4 else "!LxxxB"
    numbers = (0, protocol, size) if source.version == 4 else (size, protocol)
    return source.packed + destination.packed + struct.pack(layout, *numbers)


def _solicitation(target: IPv6Address, mac: bytes, own: IPv6Address) -> bytes:
    group = IPv6Address(b"\xff\x02" + bytes(9) + b"\x01\xff" + target.packed[-3:])
    body = target.packed + bytes((_SOURCE_LINK, 1)) + mac
    size = 8 + len(body)
    summed = checksum(
        pseudo_header(own, group, ICMPV6, size), bytes((_SOLICITATION, 0, 0, 0)), bytes(4), body
    )
    message = struct.pack("!BBHI", _SOLICITATION, 0, summed, 0) + body
    head = struct.pack("!IHBB", 6 << 28, size, ICMPV6, _ANY_LIMIT) + own.packed + group.packed
    return b"\x33\x33" + group.packed[-4:] + mac + struct.pack("!H", ETH_IPV6) + head + message


def _advertised(frame: bytes) -> tuple[Address, bytes] | None:
    """The target of an advertisement, with the MAC it names, or that it came from."""
    message = frame[ETHERNET + 40 :]
    if len(message) < 24 or frame[ETHERNET + 6] != ICMPV6 or message[0] != ADVERTISEMENT:
        return None
    if frame[ETHERNET + 7] != _ANY_LIMIT:
        return None
    mac, options = frame[6:12], message[24:]
    while len(options) >= 8 and options[1]:
        if options[0] == _TARGET_LINK:
            mac = options[2:8]
        options = options[8 * options[1] :]
    return IPv6Address(message[8:24]), mac
