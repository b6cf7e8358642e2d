"""Knocks at the doors of direct routing: through VIP and MAC, as client traffic comes.

All doors share one packet socket an interface. Who opens has been asked once; who does not is asked
again a moment later, beside its own address: only that comparison is a fault. No application
sees it, and no frame more is needed to find MACs: the kernel knows them, since checks talk to the hosts.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from willis.doctor import kernel, path
from willis.doctor.rules_direct import Door, Doors, beside, fault, through
from willis.doctor.seen import Seen
from willis.model.config import Config

_AGAIN_S = 0.3
"""Before the second look: a restart or a burst of loss is no fault."""


def look(config: Config, asked: Sequence[Door]) -> Doors:
    """What comes of it, within 2 s. Blocks; it belongs into a thread of its own. Raises OSError."""
    seen = Seen(links=kernel.wires(), owners=kernel.neighbours())
    knocks = through(config, seen, asked)
    replies = path.knock(list(dict.fromkeys(knocks.values())), seen.links)
    fine = {door for door, knock in knocks.items() if replies[knock] in door.fine}
    suspects = [door for door in knocks if door not in fine]
    if not suspects:
        return Doors(frozenset(fine))
    time.sleep(_AGAIN_S)
    own = beside(config, seen, suspects)
    replies = path.knock(list(dict.fromkeys([*(knocks[d] for d in suspects), *own.values()])), seen.links)
    fine |= {door for door in suspects if replies[knocks[door]] in door.fine}
    told = {door: fault(door, replies[knocks[door]], replies[own[door]]) for door in own if door not in fine}
    return Doors(frozenset(fine), {door: why for door, why in told.items() if why is not None})
