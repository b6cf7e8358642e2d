"""Tell the neighbours who owns a VIP now: gratuitous ARP (RFC 5227) and unsolicited NA (RFC 4861 7.2.6).

Routers and clients keep the former owner's MAC address for minutes; an announcement
moves them at once.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv6Address

from willis.engines.addresses.compile import Vip

_ETH_P_ARP = 0x0806
_NOTHING = 0
"""Of a packet socket: it receives nothing (packet(7))."""
_BROADCAST = b"\xff" * 6
_NA, _OVERRIDE, _TARGET_LINK_LAYER = 136, 0x20000000, 2
_ALL_NODES = "ff02::1"


class Announcer:
    """Announces VIPs. One socket sends all ARP: closing one waits until the kernel is done with it."""

    def __init__(self) -> None:
        self._raw: socket.socket | None = None

    def __enter__(self) -> Announcer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._raw is not None:
            self._raw.close()

    def announce(self, vip: Vip, mac: bytes) -> None:
        """Send one announcement of ``vip`` with ``mac`` (6 bytes) on its interface. Raises OSError."""
        if isinstance(vip.address, IPv6Address):
            _neighbour_advertisement(vip, mac)
        else:
            self._gratuitous_arp(vip, mac)

    def _gratuitous_arp(self, vip: Vip, mac: bytes) -> None:
        if self._raw is None:
            self._raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, _NOTHING)
        address = vip.address.packed
        ethernet = _BROADCAST + mac + struct.pack("!H", _ETH_P_ARP)
        request = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + address + bytes(6) + address
        self._raw.sendto(ethernet + request, (vip.interface, _ETH_P_ARP))


def _neighbour_advertisement(vip: Vip, mac: bytes) -> None:
    body = struct.pack("!BBHI", _NA, 0, 0, _OVERRIDE) + vip.address.packed
    option = struct.pack("!BB", _TARGET_LINK_LAYER, 1) + mac
    index = socket.if_nametoindex(vip.interface)
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw:
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        raw.bind((str(vip.address), 0, 0, index))
        raw.sendto(body + option, (_ALL_NODES, 0, 0, index))
