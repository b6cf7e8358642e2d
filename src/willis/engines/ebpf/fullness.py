"""How full the maps are: from 80 % on somebody should know, before anything is forgotten or refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from willis.engines.ebpf import layout

ALARM_PER_CENT = 80


@dataclass(frozen=True, slots=True)
class Room:
    """One map: how many it holds, and what comes of its being full."""

    table: str
    limit: int
    beyond: str


FLOWS = Room(
    "flow table",
    layout.FLOWS,
    "beyond that the connections that were silent longest are forgotten, and go on at a server that is "
    "chosen anew. Shorten the time-outs of services whose clients leave connections open, or look for a "
    "flood of SYNs.",
)
CLIENTS = Room(
    "table of persistent clients",
    layout.CLIENTS,
    "beyond that the clients that were silent longest lose their server. Shorten the persistence "
    "time-outs, or tie networks instead of clients with a mask.",
)
MEMBERS = Room(
    "table of real servers",
    layout.MEMBERS - 1,
    "beyond that new ones are refused. Remove some from the pools; those that left keep their place until "
    "their last connection has ended.",
)
SERVICES = Room(
    "table of virtual services", layout.SERVICES, "beyond that new ones are refused. Remove some."
)
PORTS = Room(
    "table of ports",
    layout.PORTS,
    "beyond that services with new ones are refused. Shorten the ranges of ports.",
)


def alarms(used: Iterable[tuple[Room, int]]) -> tuple[str, ...]:
    """A sentence for every table that is nearly full."""
    return tuple(
        f"The {room.table} is {100 * count // room.limit} % full ({count:,} of {room.limit:,}): {room.beyond}"
        for room, count in used
        if 100 * count >= ALARM_PER_CENT * room.limit
    )
