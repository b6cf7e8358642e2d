"""What must survive a restart, in one SQLite file: revisions, administrative states, last verdicts.

A document becomes a revision as *candidate*, and *running* in one transaction only
after every engine has taken it. Whatever a crash cuts short, the running revision is
therefore the last good one, and the loop heals the engines towards it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from willis.control.database import Database, StoreError
from willis.model.audit import Act, Entry
from willis.model.check import Target
from willis.model.event import Event, Severity
from willis.model.status import Admin, Health, Place, Verdict
from willis.plan.impact import Impact
from willis.plan.terms import Term

_SCHEMA = """
CREATE TABLE IF NOT EXISTS revision (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    digest TEXT NOT NULL, document TEXT NOT NULL, at REAL NOT NULL,
    author TEXT NOT NULL, reason TEXT NOT NULL, state TEXT NOT NULL, note TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX IF NOT EXISTS one_running ON revision (state) WHERE state = 'running';
CREATE TABLE IF NOT EXISTS trial (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    revision INTEGER NOT NULL, base INTEGER NOT NULL, author TEXT NOT NULL, until REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS admin (
    host TEXT NOT NULL, service TEXT NOT NULL, state TEXT NOT NULL, PRIMARY KEY (host, service)
);
CREATE TABLE IF NOT EXISTS term (
    host TEXT NOT NULL, service TEXT NOT NULL, until REAL, halt_when_idle INTEGER NOT NULL,
    PRIMARY KEY (host, service)
);
CREATE TABLE IF NOT EXISTS audit (
    number INTEGER PRIMARY KEY, act TEXT NOT NULL, chain TEXT NOT NULL
);
CREATE TRIGGER IF NOT EXISTS audit_is_not_changed BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER IF NOT EXISTS audit_is_not_shortened BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TABLE IF NOT EXISTS event (
    number INTEGER PRIMARY KEY, sort TEXT NOT NULL, subject TEXT NOT NULL,
    severity TEXT NOT NULL, about TEXT NOT NULL, what TEXT NOT NULL,
    since REAL NOT NULL, ended REAL, times INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS health (
    address TEXT NOT NULL, port INTEGER NOT NULL, kind TEXT NOT NULL,
    verdict TEXT NOT NULL, reason TEXT NOT NULL, since REAL NOT NULL,
    PRIMARY KEY (address, port, kind)
);
CREATE TABLE IF NOT EXISTS path (
    host TEXT NOT NULL, service TEXT NOT NULL,
    verdict TEXT NOT NULL, reason TEXT NOT NULL, since REAL NOT NULL,
    PRIMARY KEY (host, service)
);
"""


_EVENT = "number, severity, about, what, since, ended, times"
_EVENTS = 10_000
"""How many are kept."""

_HIGHEST = 2**63 - 1
"""An integer of SQLite."""

NOT_CONFIRMED = "nobody confirmed it in time"


class Standing(StrEnum):
    """Where a revision stands: tried now, in force, once in force, or refused by an engine."""

    CANDIDATE = "candidate"
    RUNNING = "running"
    FORMER = "former"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Revision:
    """One version of the document."""

    number: int
    digest: str
    """SHA-256 of the document, hexadecimal."""
    document: str
    at: float
    author: str
    reason: str
    state: Standing
    note: str
    """Why it was refused; empty else."""
    impact: tuple[Impact, ...] = field(default=(), compare=False)
    """Of the change that has just made it the running one; it is told and not kept."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The running revision holds only until somebody confirms it."""

    revision: int
    base: int
    """What returns otherwise."""
    author: str
    until: float
    """Seconds since the epoch."""


def digest(document: str) -> str:
    """The name of a document's content."""
    return hashlib.sha256(document.encode()).hexdigest()


class Store:
    """Revisions, trials, orders, events, the audit trail and verdicts."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises StoreError."""
        self._db = Database(path)
        self._db.has(_SCHEMA)

    @property
    def database(self) -> Database:
        """Where other rooms keep their tables too."""
        return self._db

    def running(self) -> Revision | None:
        """The revision in force, which is the last good one."""
        found = self._select("WHERE state = 'running'")
        return found[0] if found else None

    def revision(self, number: int) -> Revision | None:
        found = self._select("WHERE number = ?", number)
        return found[0] if found else None

    def history(self, limit: int = 100, before: int | None = None) -> list[Revision]:
        """The newest revisions first; of those with numbers below ``before``."""
        return self._select("WHERE number < ? ORDER BY number DESC LIMIT ?", _below(before), limit)

    def propose(self, document: str, at: float, author: str, reason: str) -> Revision:
        """Keep ``document`` as candidate."""
        cursor = self._db.execute(
            "INSERT INTO revision (digest, document, at, author, reason, state) VALUES (?, ?, ?, ?, ?, ?)",
            (digest(document), document, at, author, reason, Standing.CANDIDATE),
        )
        found = self.revision(int(cursor.lastrowid or 0))
        if found is None:
            raise StoreError(f"{self._db.path} lost a revision just written; check the disk")
        return found

    def promote(self, number: int, trial: Trial | None = None) -> None:
        """Make the candidate the running revision, on trial or for good, whole or not at all."""
        self._db.transaction(
            ("UPDATE revision SET state = 'former' WHERE state = 'running'", ()),
            ("UPDATE revision SET state = 'running' WHERE number = ?", (number,)),
            *(
                ("INSERT INTO trial VALUES (1, ?, ?, ?, ?)", (t.revision, t.base, t.author, t.until))
                for t in ([] if trial is None else [trial])
            ),
        )

    def trial(self) -> Trial | None:
        """What waits for somebody to confirm it."""
        row = self._db.execute("SELECT revision, base, author, until FROM trial").fetchone()
        return None if row is None else Trial(*row)

    def confirm(self) -> None:
        """The running revision holds for good."""
        self._db.execute("DELETE FROM trial")

    def revert(self, trial: Trial, note: str) -> None:
        """Make the base of a trial the running revision again, and keep why."""
        self._db.transaction(
            ("UPDATE revision SET state = 'former', note = ? WHERE state = 'running'", (note,)),
            ("UPDATE revision SET state = 'running' WHERE number = ?", (trial.base,)),
            ("DELETE FROM trial", ()),
        )

    def before(self, number: int) -> Revision | None:
        """The revision that was in force before ``number`` and was not taken back."""
        found = self._select(
            "WHERE number < ? AND state = 'former' AND note = '' ORDER BY number DESC LIMIT 1", number
        )
        return found[0] if found else None

    def refuse(self, number: int, note: str) -> None:
        """Keep why a candidate was not taken."""
        self._db.execute("UPDATE revision SET state = 'refused', note = ? WHERE number = ?", (note, number))

    def settle(self, now: float) -> None:
        """At start: candidates that a crash left behind are not in force, nor is a trial that is over."""
        trial = self.trial()
        if trial is not None and now >= trial.until:
            self.revert(trial, NOT_CONFIRMED)
        self._db.execute(
            "UPDATE revision SET state = 'refused', note = 'the engine stopped while this was applied' "
            "WHERE state = 'candidate'"
        )

    def admin(self) -> dict[Place, Admin]:
        rows = self._db.execute("SELECT host, service, state FROM admin").fetchall()
        return {Place(host, service or None): Admin(state) for host, service, state in rows}

    def terms(self) -> dict[Place, Term]:
        rows = self._db.execute("SELECT host, service, until, halt_when_idle FROM term").fetchall()
        return {Place(host, service or None): Term(until, bool(halt)) for host, service, until, halt in rows}

    def keep_admin(self, states: Mapping[Place, Admin], terms: Mapping[Place, Term]) -> None:
        """Replace all administrative states and their terms at once."""
        self._db.transaction(
            ("DELETE FROM admin", ()),
            ("DELETE FROM term", ()),
            *(
                ("INSERT INTO admin VALUES (?, ?, ?)", (p.host, p.service or "", s))
                for p, s in states.items()
            ),
            *(
                ("INSERT INTO term VALUES (?, ?, ?, ?)", (p.host, p.service or "", t.until, t.halt_when_idle))
                for p, t in terms.items()
                if not t.open_ended
            ),
        )

    def health(self, targets: Iterable[Target]) -> dict[Target, Health]:
        """What is known of these targets; of the others nothing matters any more."""
        rows = self._db.execute("SELECT * FROM health").fetchall()
        known = {
            (a, port, asked): Health(Verdict(v), reason, since) for a, port, asked, v, reason, since in rows
        }
        found = {t: known.get((str(t.address), t.port, t.asked)) for t in targets}
        return {target: health for target, health in found.items() if health is not None}

    def keep_health(self, changed: Mapping[Target, Health]) -> None:
        """Write or replace verdicts at once."""
        self._db.transaction(
            *(
                (
                    "INSERT OR REPLACE INTO health VALUES (?, ?, ?, ?, ?, ?)",
                    (str(t.address), t.port, t.asked, h.verdict, h.reason, h.since),
                )
                for t, h in changed.items()
            )
        )

    def paths(self) -> dict[Place, Health]:
        """Servers of direct routing that clients did not reach by the VIP."""
        rows = self._db.execute("SELECT host, service, verdict, reason, since FROM path").fetchall()
        return {Place(host, service): Health(Verdict(v), reason, at) for host, service, v, reason, at in rows}

    def keep_paths(self, faults: Mapping[Place, Health]) -> None:
        """Replace all of them at once."""
        self._db.transaction(
            ("DELETE FROM path", ()),
            *(
                ("INSERT INTO path VALUES (?, ?, ?, ?, ?)", (p.host, p.service, h.verdict, h.reason, h.since))
                for p, h in faults.items()
            ),
        )

    def open_events(self) -> dict[tuple[str, str], Event]:
        """Those that had not ended, each by what it was recognised by."""
        rows = self._db.execute(f"SELECT sort, subject, {_EVENT} FROM event WHERE ended IS NULL").fetchall()  # noqa: S608
        return {(sort, subject): _event(row) for sort, subject, *row in rows}

    def events(self, limit: int, open_only: bool, before: int | None = None) -> list[Event]:
        """The newest first; of those with numbers below ``before``."""
        where = "WHERE number < ?" + (" AND ended IS NULL" if open_only else "")
        sql = f"SELECT {_EVENT} FROM event {where} ORDER BY number DESC LIMIT ?"  # noqa: S608
        return [_event(row) for row in self._db.execute(sql, (_below(before), limit)).fetchall()]

    def last_event(self) -> int:
        """The largest number so far."""
        return int(self._db.execute("SELECT coalesce(max(number), 0) FROM event").fetchone()[0])

    def keep_events(self, events: Mapping[Event, tuple[str, str] | None]) -> None:
        """Write or replace events at once, each with how it is known while open; forget the oldest."""
        rows = [
            (
                "INSERT OR REPLACE INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (e.number, *(key or ("", "")), e.severity, e.about, e.what, e.since, e.ended, e.times),
            )
            for e, key in events.items()
        ]
        oldest = max(e.number for e in events) - _EVENTS
        self._db.transaction(*rows, ("DELETE FROM event WHERE number <= ? AND ended IS NOT NULL", (oldest,)))

    def append_act(self, entry: Entry) -> None:
        """Add an entry to the audit trail."""
        act = json.dumps(asdict(entry.act))
        self._db.execute("INSERT INTO audit VALUES (?, ?, ?)", (entry.number, act, entry.chain))

    def last_act(self) -> Entry | None:
        """The newest entry of the audit trail."""
        found = list(self.acts(1))
        return found[0] if found else None

    def acts(self, last: int | None, before: int | None = None) -> Iterator[Entry]:
        """The newest entries of the audit trail below ``before``, oldest first; None: all of them."""
        newest = "SELECT number, act, chain FROM audit WHERE number < ? ORDER BY number DESC LIMIT ?"
        sql = f"SELECT * FROM ({newest}) ORDER BY number"  # noqa: S608
        for number, act, chain in self._db.execute(sql, (_below(before), -1 if last is None else last)):
            yield Entry(number, Act(**json.loads(act)), chain)

    def close(self) -> None:
        self._db.close()

    def _select(self, where: str, *values: object) -> list[Revision]:
        columns = "number, digest, document, at, author, reason, state, note"
        rows = self._db.execute(f"SELECT {columns} FROM revision {where}", values).fetchall()  # noqa: S608
        return [
            Revision(number, name, document, at, author, reason, Standing(state), note)
            for number, name, document, at, author, reason, state, note in rows
        ]


def _below(number: int | None) -> int:
    """Below which number; None: of all rows."""
    return _HIGHEST if number is None else min(number, _HIGHEST)


def _event(row: Sequence[Any]) -> Event:
    number, severity, *rest = row
    return Event(number, Severity(severity), *rest)
