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
from contextlib import ExitStack, closing, suppress

from willis.doctor.frames import checksum
from willis.doctor.seen import Size
from willis.model.service import Address

_ROUNDS_S = (0.3, 0.5)
"""Who is silent in the first is asked again; who answers ends the wait."""
_BATCH, _REST_S = 8, 0.001
"""Requests after which the sender rests, so that their replies do not come all at once."""
_SMALL = 84
"""Bytes of an IPv4 packet as ping sends it."""
_HEAD = struct.Struct("!BBHHH")
_IP = {4: 20, 6: 40}
_REQUEST, _REPLY = {4: 8, 6: 128}, {4: 0, 6: 129}
_LARGEST = 1 << 16
_PROBE = 3
"""IP_PMTUDISC_PROBE and IPV6_PMTUDISC_PROBE: never fragment, and believe no cached path MTU."""
_DISCOVER = {4: (socket.IPPROTO_IP, 10), 6: (socket.IPPROTO_IPV6, 23)}
"""IP_MTU_DISCOVER and IPV6_MTU_DISCOVER, which Python does not name."""


def sizes(hosts: Mapping[Address, int]) -> dict[Address, Size]:
    """What each host answers, within 0.8 s. ``hosts``: with the MTU of the interface. Raises OSError."""
    asked = list(enumerate((address, large) for address in hosts for large in (False, True)))
    answered: set[tuple[Address, bool]] = set()
    with ExitStack() as stack:
        ready = stack.enter_context(selectors.DefaultSelector())
        pings = {v: stack.enter_context(closing(_Pings(v))) for v in {address.version for address in hosts}}
        for each in pings.values():
            ready.register(each, selectors.EVENT_READ, each)

        def listen(seconds: float) -> None:
            until = time.monotonic() + seconds
            while len(answered) < len(asked) and (left := until - time.monotonic()) > 0:
                for key, _ in ready.select(left):
                    index = key.data.receive()
                    if index is not None and index < len(asked):
                        answered.add(asked[index][1])

        for seconds in _ROUNDS_S:
            for index, (address, large) in asked:
                if (address, large) not in answered:
                    pings[address.version].send(address, index, hosts[address] if large else _SMALL)
                if index % _BATCH == 0:
                    listen(_REST_S)
            listen(seconds)
    return {address: _size(address, answered) for address in hosts}


class _Pings:
    """Echo requests of one family that nobody may fragment, and their replies."""

    def __init__(self, version: int) -> None:
        self._version = version
        self._number = secrets.randbelow(0x10000)
        family, protocol = (
            (socket.AF_INET, socket.IPPROTO_ICMP)
            if version == 4
            else (socket.AF_INET6, socket.IPPROTO_ICMPV6)
        )
        self._socket = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
        self._socket.setsockopt(*_DISCOVER[version], _PROBE)

    def close(self) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, address: Address, index: int, size: int) -> None:
        """``size``: of the IP packet. One that cannot leave is one that is not answered."""
        packet = request(self._version, self._number, index, size - _IP[self._version] - _HEAD.size)
        with suppress(OSError):
            self._socket.sendto(packet, (str(address), 0))

    def receive(self) -> int | None:
        """The index of the request that is answered next."""
        with suppress(OSError):
            return reply(self._version, self._number, self._socket.recv(_LARGEST))
        return None


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


def _size(address: Address, answered: set[tuple[Address, bool]]) -> Size:
    if (address, True) in answered:
        return Size.WHOLE
    return Size.SMALL if (address, False) in answered else Size.NONE
