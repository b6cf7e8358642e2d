"""Sessions of people who signed in: opaque ids, of which only digests are kept.

A session ends 30 minutes after its last request, 12 hours after its begin, or when somebody
ends it; with the password or the rights of its user it ends too. It outlives the engine.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable

from willis.control.database import Database
from willis.control.users import Statement, read_grants, written_grants
from willis.model.identity import Grant, Session

IDLE_S = 1800.0
ABSOLUTE_S = 12 * 3600.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS login_session (
    digest TEXT PRIMARY KEY, name TEXT NOT NULL, grants TEXT NOT NULL, how TEXT NOT NULL,
    source TEXT NOT NULL, begun REAL NOT NULL, seen REAL NOT NULL
);
"""
_KEPT_EVERY_S = 60.0
"""Each write waits for the disk; after a crash a session may end so much earlier, never later."""
_HANDLE = 16
"""Digits of the digest that name a session in lists."""


class Sessions:
    """Of one node. Used in the event loop's thread."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._db = database
        self._clock = clock
        self._seen: dict[str, float] = {}
        database.has(_SCHEMA)

    def open(self, name: str, grants: Iterable[Grant], how: str, source: str) -> str:
        """Begin one. Returns its id, which nobody sees again. Those that are over are forgotten."""
        now, key = self._clock(), secrets.token_urlsafe(32)
        self._db.transaction(
            *(("DELETE FROM login_session WHERE digest = ?", (d,)) for d, s in self._rows() if _over(s, now)),
            (
                "INSERT INTO login_session VALUES (?, ?, ?, ?, ?, ?, ?)",
                (digest(key), name, written_grants(grants), how, source, now, now),
            ),
        )
        return key

    def use(self, key: str) -> Session | None:
        """The session of this id, which has just been used; None: there is none any more."""
        name, now = digest(key), self._clock()
        found = next((s for _, s in self._rows("WHERE digest = ?", name)), None)
        if found is None or _over(found, now):
            return None
        self._seen[name] = now
        self._db.execute(
            "UPDATE login_session SET seen = ? WHERE digest = ? AND seen <= ?",
            (now, name, now - _KEPT_EVERY_S),
        )
        return found

    def holds(self, key: str) -> bool:
        """Whether the session of this id goes on."""
        return any(not _over(s, self._clock()) for _, s in self._rows("WHERE digest = ?", digest(key)))

    def all(self, name: str | None = None) -> list[Session]:
        """Those that hold, of one user or of all, the newest first."""
        now = self._clock()
        found = [s for _, s in self._rows() if not _over(s, now) and name in (None, s.name)]
        return sorted(found, key=lambda s: -s.begun)

    def end(self, key: str) -> None:
        """By its id."""
        self._db.execute("DELETE FROM login_session WHERE digest = ?", (digest(key),))

    def end_of(self, handle: str, name: str | None = None) -> bool:
        """By its handle, if it is that user's (None: whoever's). Whether there was one."""
        where = "substr(digest, 1, ?) = ? AND name = coalesce(?, name)"
        ended = self._db.execute(f"DELETE FROM login_session WHERE {where}", (_HANDLE, handle, name))  # noqa: S608
        return ended.rowcount > 0

    def end_all(self, name: str | None = None) -> int:
        """Of one user, or of everybody. How many ended."""
        return self._db.execute("DELETE FROM login_session WHERE name = coalesce(?, name)", (name,)).rowcount

    @staticmethod
    def ending(name: str) -> Statement:
        """Ends all sessions of a user, as part of a transaction."""
        return "DELETE FROM login_session WHERE name = ?", (name,)

    def _rows(self, where: str = "", *values: object) -> list[tuple[str, Session]]:
        columns = "digest, name, grants, how, source, begun, seen"
        rows = self._db.execute(f"SELECT {columns} FROM login_session {where}", values).fetchall()  # noqa: S608
        return [
            (
                d,
                Session(
                    d[:_HANDLE], n, read_grants(g), how, source, begun, max(seen, self._seen.get(d, 0.0))
                ),
            )
            for d, n, g, how, source, begun, seen in rows
        ]


def digest(secret: str) -> str:
    """What is kept of 32 random bytes: a plain hash is enough for what nobody can guess."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _over(session: Session, now: float) -> bool:
    return now >= min(session.seen + IDLE_S, session.begun + ABSOLUTE_S)
