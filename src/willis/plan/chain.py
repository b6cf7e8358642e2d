"""The chain of the audit trail: each entry's digest covers all before it. Pure.

Whoever changes, removes or inserts an entry must change every digest after it; the newest
one, written down elsewhere (syslog, paper), proves the whole trail.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict

from willis.model.audit import Act, Entry

BEGINNING = "0" * 64
"""What stands before the first entry."""


def link(before: str, number: int, act: Act) -> str:
    """The digest of an entry whose predecessor has ``before``.

    An empty ``request_id`` is left out: entries from before there were any keep their digests.
    """
    told = asdict(act)
    if not act.request_id:
        del told["request_id"]
    said = json.dumps([before, number, told], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(said.encode()).hexdigest()


def broken(entries: Iterable[Entry]) -> int | None:
    """The number of the first entry that does not follow from those before it; None: all do."""
    before, expected = BEGINNING, 1
    for entry in entries:
        if entry.number != expected or entry.chain != link(before, entry.number, entry.act):
            return expected
        before, expected = entry.chain, expected + 1
    return None
