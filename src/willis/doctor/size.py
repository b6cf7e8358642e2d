"""Pings hosts with packets as large as the interface sends, which nobody may fragment.

Who answers a small one and not a large one sits behind a wire that carries less: connections
open, and hang as soon as an image follows. All hosts are asked at once.
"""

from __future__ import annotations

import secrets
import selectors
import socket
import struct
import time
from collections.abc import Mapping
from contextlib import ExitStack

from willis.doctor.frames import checksum
from willis.doctor.seen import Size
from willis.model.service import Address

_WAIT_S = 0.6
_SMALL = 56
"""Bytes of payload, as ping sends them."""
_HEAD = struct.Struct("!BBHHH")
_IP = {4: 20, 6: 40}
_REQUEST, _REPLY = {4: 8, 6: 128}, {4: 0, 6: 129}
_LARGEST = 1 << 16
_PROBE = 3
"""IP_PMTUDISC_PROBE and IPV6_PMTUDISC_PROBE: never fragment, and believe no cached path MTU."""
_DISCOVER = {4: (socket.IPPROTO_IP, 10), 6: (socket.IPPROTO_IPV6, 23)}
"""IP_MTU_DISCOVER and IPV6_MTU_DISCOVER, which Python does not name."""


def sizes(hosts: Mapping[Address, int]) -> dict[Address, Size]:
    """What each host answers, within 0.6 s. ``hosts``: with the MTU of the interface. Raises OSError."""
    number = secrets.randbelow(0x10000)
    asked = {(address, large): index for index, (address, large) in enumerate(_all(hosts))}
    answered: set[tuple[Address, bool]] = set()
    with ExitStack() as stack:
        sockets = {v: stack.enter_context(_socket(v)) for v in {address.version for address in hosts}}
        for (address, large), index in asked.items():
            payload = hosts[address] - _IP[address.version] - _HEAD.size if large else _SMALL
            _send(sockets[address.version], address, request(address.version, number, index, payload))
        by_index = {index: key for key, index in asked.items()}
        until = time.monotonic() + _WAIT_S
        ready = stack.enter_context(selectors.DefaultSelector())
        for version, each in sockets.items():
            ready.register(each, selectors.EVENT_READ, version)
        while len(answered) < len(asked) and (left := until - time.monotonic()) > 0:
            for key, _ in ready.select(left):
                told = reply(key.data, number, sockets[key.data].recv(_LARGEST))
                if told in by_index:
                    answered.add(by_index[told])
    return {address: _size(address, answered) for address in hosts}


def request(version: int, number: int, index: int, payload: int) -> bytes:
    """An echo request. The kernel fills in the checksum of ICMPv6."""
    raw = _HEAD.pack(_REQUEST[version], 0, 0, number, index) + bytes(payload)
    return raw if version == 6 else raw[:2] + struct.pack("!H", checksum(raw)) + raw[4:]


def reply(version: int, number: int, packet: bytes) -> int | None:
    """Which request a packet answers. Raw IPv4 sockets give it with its IP header (raw(7))."""
    at = 4 * (packet[0] & 0x0F) if version == 4 and packet else 0
    if len(packet) < at + _HEAD.size:
        return None
    kind, _, _, ours, index = _HEAD.unpack_from(packet, at)
    return index if (kind, ours) == (_REPLY[version], number) else None


def _all(hosts: Mapping[Address, int]) -> list[tuple[Address, bool]]:
    return [(address, large) for address in hosts for large in (False, True)]


def _size(address: Address, answered: set[tuple[Address, bool]]) -> Size:
    if (address, True) in answered:
        return Size.WHOLE
    return Size.SMALL if (address, False) in answered else Size.NONE


def _socket(version: int) -> socket.socket:
    family, protocol = (
        (socket.AF_INET, socket.IPPROTO_ICMP) if version == 4 else (socket.AF_INET6, socket.IPPROTO_ICMPV6)
    )
    found = socket.socket(family, socket.SOCK_RAW, protocol)
    found.setsockopt(*_DISCOVER[version], _PROBE)
    return found


def _send(via: socket.socket, address: Address, packet: bytes) -> None:
    """A packet that cannot leave is one that is not answered."""
    try:
        via.sendto(packet, socket.MSG_DONTWAIT, (str(address), 0))
    except OSError:
        return
