"""A service's table as the program reads it: header, pool, turns and Maglev slots in one array.

The layout is in ``bpf/willis_l4.h``. One array is swapped at one instant, so
scheduler, weights, order and size always belong together, and the table says
of itself what it was built from: ``read_pool`` gives that back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import pack

from willis.engines.ebpf import maglev, turns
from willis.engines.ebpf.entries import TableEntry
from willis.model.service import Scheduler

_HEADER = 2
_NUMBERS = {Scheduler.WRR: 1, Scheduler.WLC: 2, Scheduler.SH: 3, Scheduler.MH: 4}
_SCHEDULERS = {number: scheduler for scheduler, number in _NUMBERS.items()}


def pack_table(entry: TableEntry, slots: Mapping[str, int]) -> bytes:
    """The array's bytes. ``slots`` gives the member slot of each host in the pool."""
    weights = {share.host: share.weight for share in entry.pool}
    order = turns.one_round(weights) if entry.scheduler is Scheduler.WRR else []
    hashed = maglev.fill(weights, maglev.size_for(len(weights))) if weights else []
    pool = [slots[host] | weight << 16 for host, weight in weights.items()]
    return (
        pack("<IIII", len(hashed), len(order), len(pool), _NUMBERS[entry.scheduler])
        + _padded(pack(f"<{len(pool)}I", *pool))
        + _padded(pack(f"<{len(order)}H", *(slots[host] for host in order)))
        + _padded(pack(f"<{len(hashed)}H", *(slots[host] for host in hashed)))
    )


def read_pool(
    read: Callable[[int], tuple[int, ...] | None],
) -> tuple[Scheduler, list[tuple[int, int]]] | None:
    """Scheduler and (slot, weight) of a table; None if there is no table.

    ``read`` gives some of the table's words from a given word on.
    """
    words = read(0)
    if words is None:
        return None
    scheduler = _SCHEDULERS[words[1] >> 32]
    count = words[1] & 0xFFFFFFFF
    pool = list(words[_HEADER:])
    while 2 * len(pool) < count:
        pool.extend(read(_HEADER + len(pool)) or ())
    parts = [part for word in pool for part in (word & 0xFFFFFFFF, word >> 32)]
    return scheduler, [(part & 0xFFFF, part >> 16) for part in parts[:count]]


def _padded(cells: bytes) -> bytes:
    return cells + bytes(-len(cells) % 8)
