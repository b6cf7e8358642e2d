"""TCP segments as whole Ethernet frames, and what comes back. Pure.

Their hop limit is 1: a machine that owns the address takes them (RFC 1122, 3.2.1.7), and one that
would only pass them on must not, so a SYN for a VIP can never come back to the node by a detour
and be scheduled to somebody else.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from willis.doctor.frames import ETH_IPV4, ETH_IPV6, ETHERNET, ICMPV6, checksum, pseudo_header
from willis.doctor.seen import Reply
from willis.model.service import Address

SYN, RST, ACK = 0x02, 0x04, 0x10
_TCP, _ICMP = 6, 1
_HOPS = 1
_HEADER = struct.Struct("!HHIIBBHHH")
_IP4, _IP6 = struct.Struct("!BBHHHBBH4s4s"), struct.Struct("!IHBB16s16s")
_MSS = struct.pack("!BBH", 2, 4, 536)
"""A SYN without a maximum segment size looks forged to some firewalls."""
_WINDOW = 1024
_DO_NOT_FRAGMENT = 0x4000
_TIME_EXCEEDED = {4: 11, 6: 3}
_UNREACHABLE = {4: 3, 6: 1}


@dataclass(frozen=True, slots=True)
class Head:
    """The ends of a segment that we send."""

    our_mac: bytes
    mac: bytes
    source: Address
    source_port: int
    destination: Address
    port: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What a frame says about a segment of ours."""

    sequence: int
    """The sequence number of the segment that it is about."""
    port: int
    """That it was for."""
    reply: Reply


def segment(head: Head, flags: int, sequence: int) -> bytes:
    """A frame with one segment; a SYN has its option."""
    options = _MSS if flags & SYN else b""
    fields = (head.source_port, head.port, sequence & 0xFFFFFFFF, 0)
    offset = (_HEADER.size + len(options)) // 4 << 4
    bare = _HEADER.pack(*fields, offset, flags, _WINDOW, 0, 0) + options
    summed = checksum(pseudo_header(head.source, head.destination, _TCP, len(bare)), bare)
    tcp = bare[:16] + struct.pack("!H", summed) + bare[18:]
    kind = ETH_IPV4 if head.source.version == 4 else ETH_IPV6
    return head.mac + head.our_mac + struct.pack("!H", kind) + _ip(head, len(tcp)) + tcp


def answer(frame: bytes, source_port: int) -> Answer | None:
    """What a frame says of a segment from ``source_port``; None if it is about something else."""
    found = _inside(frame[ETHERNET:], int.from_bytes(frame[12:14]))
    if found is None:
        return None
    protocol, payload, version = found
    if protocol == _TCP and len(payload) >= _HEADER.size:
        port, ours, _, acknowledged, _, flags, *_ = _HEADER.unpack_from(payload)
        if ours != source_port or not flags & ACK or not flags & (SYN | RST):
            return None
        reply = Reply.CLOSED if flags & RST else Reply.OPEN
        return Answer((acknowledged - 1) & 0xFFFFFFFF, port, reply)
    if protocol in (_ICMP, ICMPV6):
        return _complaint(payload, version, source_port)
    return None


def _ip(head: Head, size: int) -> bytes:
    source, destination = head.source.packed, head.destination.packed
    if not isinstance(head.source, IPv4Address):
        return _IP6.pack(6 << 28, size, _TCP, _HOPS, source, destination)
    fields = (0x45, 0, _IP4.size + size, 0, _DO_NOT_FRAGMENT, _HOPS, _TCP)
    summed = checksum(_IP4.pack(*fields, 0, source, destination))
    return _IP4.pack(*fields, summed, source, destination)


def _inside(packet: bytes, kind: int) -> tuple[int, bytes, int] | None:
    """Protocol, payload and IP version of a packet."""
    if kind == ETH_IPV4 and len(packet) >= _IP4.size:
        return packet[9], packet[4 * (packet[0] & 0x0F) :], 4
    if kind == ETH_IPV6 and len(packet) >= _IP6.size:
        return packet[6], packet[_IP6.size :], 6
    return None


def _complaint(message: bytes, version: int, source_port: int) -> Answer | None:
    """An ICMP error that quotes our segment."""
    if len(message) < 8 or message[0] not in (_TIME_EXCEEDED[version], _UNREACHABLE[version]):
        return None
    quoted = _inside(message[8:], ETH_IPV4 if version == 4 else ETH_IPV6)
    if quoted is None or quoted[0] != _TCP or len(quoted[1]) < 8:
        return None
    ours, port, sequence = struct.unpack_from("!HHI", quoted[1])
    passed = message[0] == _TIME_EXCEEDED[version]
    reply = Reply.PASSED_ON if passed else Reply.FORBIDDEN
    return Answer(sequence, port, reply) if ours == source_port else None
