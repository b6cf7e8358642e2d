"""Keeps the audit trail: append-only, chained, in the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict

from willis.control.store import Store
from willis.model.audit import Act, Entry
from willis.plan.chain import BEGINNING, broken, link

_LONGEST = 500

Row = dict[str, object]


class Audit:
    """Of one node. Used in the event loop's thread."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def digest(self) -> str:
        """Of the running document; empty: there is none."""
        running = self._store.running()
        return "" if running is None else running.digest

    def note(
        self,
        who: str,
        action: str,
        about: str = "",
        *,
        author: str = "",
        source: str = "itself",
        reason: str = "",
        before: str | None = None,
        result: str = "done",
        request_id: str = "",
    ) -> None:
        """Append an act. ``before``: the digest from before it, if it may have changed. Raises StoreError."""
        after = self.digest()
        act = Act(
            self._clock(),
            _plain(who),
            _plain(author),
            source,
            _plain(action),
            _plain(about),
            _plain(reason),
            after if before is None else before,
            after,
            _plain(result),
            request_id,
        )
        last = self._store.last_act()
        number, chain = (0, BEGINNING) if last is None else (last.number, last.chain)
        self._store.append_act(Entry(number + 1, act, link(chain, number + 1, act)))

    def itself(self, action: str, about: str, reason: str) -> None:
        """What happened without anybody asking. Raises StoreError."""
        self.note("willis", action, about, reason=reason)

    def rows(self, last: int, before: int | None = None) -> list[Row]:
        """The newest entries of those with numbers below ``before``, oldest first."""
        return [row(entry) for entry in self._store.acts(last, before)]

    def export(self) -> Iterator[Row]:
        """All entries, oldest first."""
        return (row(entry) for entry in self._store.acts(None))

    def verify(self) -> Row:
        """Whether the whole chain holds, how long it is and its newest digest."""
        wrong = broken(self._store.acts(None))
        last = self._store.last_act()
        return {
            "ok": wrong is None,
            "broken_at": wrong,
            "entries": 0 if last is None else last.number,
            "chain": BEGINNING if last is None else last.chain,
        }


def _plain(text: str) -> str:
    """Short, and without what would steer the terminal of whoever reads it."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:_LONGEST])


def row(entry: Entry) -> Row:
    """An entry as plain data."""
    return {"number": entry.number, **asdict(entry.act), "chain": entry.chain}
