"""Requests with a key are carried out once, however often they are sent (idempotency keys).

As draft-ietf-httpapi-idempotency-key-header has it. For a day the store has a digest of caller and
key, a digest of the request, and the answer. The request's digest is made with the key itself,
which is not kept: nobody can try out from it what password a body held.

A refusal did nothing, so its key is free again. Where nobody knows what came of a request, since
the engine stopped or failed at it, its key opens nothing any more.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from willis.control.changes import Refused
from willis.control.database import Database, StoreError

log = logging.getLogger("willis.once")

LONGEST = 32_768
"""Bytes of an answer that is kept."""
_KEPT_S = 24 * 3600.0
_MOST = 5_000
"""Keys at a time; the oldest are forgotten first."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS once (
    name TEXT PRIMARY KEY, request TEXT NOT NULL, at REAL NOT NULL, status INTEGER, media TEXT, body BLOB
);
CREATE INDEX IF NOT EXISTS once_at ON once (at);
"""


class Reused(Refused):
    """The key belongs to another request."""

    kind = "key-reused"

    def __init__(self) -> None:
        super().__init__("this key came with another request before; take a new one for each thing to do")


class Repeated(Refused):
    """The request was sent before, and its answer is not here."""


class StillRunning(Repeated):
    """It is being carried out now."""

    kind = "still-running"

    def __init__(self) -> None:
        super().__init__("this request is being carried out; send it again shortly, with the same key")


class NotKept(Repeated):
    """It was carried out; the answer held a secret, or was too long to keep."""

    kind = "answer-not-kept"

    def __init__(self) -> None:
        super().__init__(
            "this request was carried out before, and its answer is not kept: it may hold a secret, or is "
            "long. Look at what there is now; take back what you cannot use, and ask anew with another key"
        )


class OutcomeUnknown(Repeated):
    """The engine stopped or failed at it."""

    kind = "outcome-unknown"

    def __init__(self) -> None:
        super().__init__(
            "the engine stopped or failed while it carried this out; see 'willis audit list' and "
            "'willis history' for what came of it, then ask with another key"
        )


@dataclass(frozen=True, slots=True)
class Kept:
    """The answer of a request that was carried out."""

    status: int
    media: str
    body: bytes


class Once:
    """Of one node. Made and used in the event loop's thread."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """Raises StoreError."""
        database.has(_SCHEMA)
        self._db = database
        self._clock = clock
        self._running: set[str] = set()

    def begin(self, name: str, request: str) -> Kept | None:
        """The answer that was given before; None: carry it out now, then ``done``, ``undone`` or ``end``.

        ``name`` and ``request``: of ``digests``. Raises Reused, Repeated, StoreError.
        """
        now = self._clock()
        oldest = "SELECT name FROM once ORDER BY at DESC LIMIT -1 OFFSET ?"
        self._db.execute("DELETE FROM once WHERE at < ?", (now - _KEPT_S,))
        found = self._db.execute(
            "SELECT request, status, media, body FROM once WHERE name = ?", (name,)
        ).fetchone()
        if found is not None:
            return self._again(name, request, *found)
        self._db.transaction(
            ("INSERT INTO once (name, request, at) VALUES (?, ?, ?)", (name, request, now)),
            (f"DELETE FROM once WHERE name IN ({oldest})", (_MOST,)),  # noqa: S608
        )
        self._running.add(name)
        return None

    def _again(
        self, name: str, request: str, known: str, status: int | None, media: str | None, body: bytes | None
    ) -> Kept:
        if not hmac.compare_digest(known, request):
            raise Reused
        if name in self._running:
            raise StillRunning
        if status is None:
            raise OutcomeUnknown
        if body is None:
            raise NotKept
        return Kept(status, media or "", body)

    def done(self, name: str, answer: Kept, *, secret: bool) -> None:
        """It was carried out. The answer of a ``secret`` one is not kept, nor is one that is too long."""
        body = None if secret or len(answer.body) > LONGEST else answer.body
        self._write(
            "UPDATE once SET status = ?, media = ?, body = ? WHERE name = ?",
            (answer.status, answer.media, body, name),
        )

    def undone(self, name: str) -> None:
        """It was refused; the same may be tried again with this key."""
        self._write("DELETE FROM once WHERE name = ?", (name,))

    def end(self, name: str) -> None:
        """Whatever came of it, it is over."""
        self._running.discard(name)

    def _write(self, sql: str, values: tuple[object, ...]) -> None:
        """What has just been done cannot be refused any more, so a failure is only told."""
        try:
            self._db.execute(sql, values)
        except StoreError as error:
            log.error("an answer is not kept for whoever sends its request again: %s", error)  # noqa: TRY400


def digests(caller: str, key: str, request: bytes) -> tuple[str, str]:
    """What a caller's key, and what a request with it, is kept as."""
    name = hashlib.sha256(f"{caller}\0{key}".encode()).hexdigest()
    return name, hmac.new(key.encode(), request, hashlib.sha256).hexdigest()
