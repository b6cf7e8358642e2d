"""The layer-4 maps as user space sees them: the other half of ``bpf/willis_l4.h``.

Every layout is little-endian with explicit padding, as the compiler lays it out.
``LAYOUT`` names the directory that the maps are pinned in: it rises whenever
a key or a value changes, so pinned maps are never misread by another version.
Values only grow, at their end, and nought there means "as before": then
``migrate`` can take over what an earlier layout left.
"""

from __future__ import annotations

from enum import IntEnum
from ipaddress import IPv6Address
from struct import Struct

from willis.model.service import Address, Timeouts

LAYOUT = "v3"

SERVICES = 1024
PORTS = 16384
MEMBERS = 16384
FLOWS = 262144
CLIENTS = 65536
LINKS = 65536
"""Interfaces by their index: an array, since XDP asks for every frame."""

INDEX = Struct("<I")
SERVICE_KEY = Struct("<16s2sBx")
"""VIP, port in network order, protocol number."""
SERVICE = Struct("<IIQ16sII")
"""Id, fallback slot, persistence in ticks, client mask, whether translated, whether one-packet."""
TIMEOUTS = Struct("<QQQ")
"""Established, closing, datagram, in ns."""
MEMBER = Struct("<6s6sIIII")
"""MAC, source MAC, ifindex, standing, service id, mark."""
LOAD = Struct("<qQq")
"""Active flows, changes, half-open flows."""
FLOW_KEY = Struct("<16s16s2s2sB3x")
"""Source, VIP, source port, port, protocol number."""
FLOW = Struct("<QIIQ")
"""Last packet in ns, state, slot, birth in ns."""
CLIENT_KEY = Struct("<I16s")
"""Service id, masked source."""
CLIENT = Struct("<Q")
"""End in ticks << 16 | slot."""
COUNTS = Struct("<5Q")
"""Packets, bytes, connections, closed, refused."""
LINK = Struct("<6s2x")
"""The interface's own MAC."""
CENSUS = Struct("<qQqQqq3QQ")
"""Active and changes at the start, live and all flows found, half-open likewise, time-outs, oldest birth."""
HEARTBEAT = Struct("<Q")
"""When the daemon was last there, in ns."""
SERVICE_LABEL = Struct("<64sI")
"""Name, whether it is leaving."""
MEMBER_LABEL = Struct("<64s16s16sII")
"""Host, interface, address, service id, whether it is the fallback server."""
SWEEP_ARGS = Struct("<8Q")
"""SYN time-out, then as TIMEOUTS, slots; flows, clients and expired flows come back."""
TABLE_ARGS = Struct("<II8Q")
"""Service id, first word; eight words come back."""
TABLE_READ = 8

SECOND_NS = 1_000_000_000
TICK_NS = 1024
"""Persistence counts in ticks, so that 48 bits of them last nine years."""

VALUES = {
    "services": (SERVICE_KEY, SERVICE),
    "timeouts": (INDEX, TIMEOUTS),
    "members": (INDEX, MEMBER),
    "loads": (INDEX, LOAD),
    "flows": (FLOW_KEY, FLOW),
    "clients": (CLIENT_KEY, CLIENT),
    "server_counts": (INDEX, COUNTS),
    "service_counts": (INDEX, COUNTS),
    "links": (INDEX, LINK),
    "census": (INDEX, CENSUS),
    "heartbeat": (INDEX, HEARTBEAT),
    "service_labels": (INDEX, SERVICE_LABEL),
    "member_labels": (INDEX, MEMBER_LABEL),
}
"""Key and value of the maps that user space reads or writes, checked when the object is loaded."""


class SlotState(IntEnum):
    """A member slot's standing in the data path (``enum standing``)."""

    FREE = 0
    OPEN = 1
    DRAIN = 2
    DOWN = 3
    LEAVING = 4


def pack_address(address: Address) -> bytes:
    """16 bytes in network order; IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2)."""
    return bytes(10) + b"\xff\xff" + address.packed if address.version == 4 else address.packed


def unpack_address(packed: bytes) -> Address:
    """The inverse of ``pack_address``."""
    address = IPv6Address(packed)
    return address.ipv4_mapped or address


def pack_mask(prefix: int, version: int) -> bytes:
    """The mask of a client's address; ``prefix`` is 1 to 32 for IPv4 and 1 to 128 for IPv6."""
    bits = prefix + 96 if version == 4 else prefix
    return ((1 << 128) - (1 << (128 - bits))).to_bytes(16)


def unpack_mask(mask: bytes, version: int) -> int:
    """The inverse of ``pack_mask``."""
    bits = int.from_bytes(mask).bit_count()
    return bits - 96 if version == 4 else bits


def pack_text(text: str) -> bytes:
    """Names are ASCII and at most 63 bytes long (``model.service.NAME``)."""
    return text.encode("ascii")


def unpack_text(packed: bytes) -> str:
    return packed.rstrip(b"\0").decode("ascii")


def ticks(seconds: int) -> int:
    """Seconds as ticks, rounded up."""
    return -(-seconds * SECOND_NS // TICK_NS)


def seconds(count: int) -> int:
    """The inverse of ``ticks``."""
    return count * TICK_NS // SECOND_NS


def pack_timeouts(timeouts: Timeouts) -> bytes:
    seconds = timeouts.established_s, timeouts.closing_s, timeouts.datagram_s
    return TIMEOUTS.pack(*(each * SECOND_NS for each in seconds))


def unpack_timeouts(packed: bytes) -> Timeouts:
    """The inverse of ``pack_timeouts``."""
    return Timeouts(*(each // SECOND_NS for each in TIMEOUTS.unpack(packed)))
