"""Change sets: edits that are gathered over a while, looked at as one plan and applied as one change.

A set keeps only its edits, each with what the entry said where the set began. It is always judged
on the document that runs now: what others changed meanwhile stays, and an entry that both sides
changed is a conflict that somebody has to decide. So a set can neither undo nor drop what it
does not name. Every change of a set is on the disk before it is answered.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from willis.config import Problem, Severity, load
from willis.config.edit import Edit, Unedited, edited, entries, entry
from willis.config.problem import point, spell
from willis.config.splice import Data, same
from willis.control.changes import Invalid, Refused, Stale, Unknown, Wish, when
from willis.control.store import Revision, Standing, Store

_SCHEMA = """
CREATE TABLE IF NOT EXISTS changeset (
    number INTEGER PRIMARY KEY AUTOINCREMENT, base INTEGER NOT NULL, author TEXT NOT NULL,
    reason TEXT NOT NULL, since REAL NOT NULL, version INTEGER NOT NULL, edits TEXT NOT NULL
);
"""
_COLUMNS = "number, base, author, reason, since, version, edits"

MOST = 100
"""Sets on a node."""
MOST_OF_ONE = 20
"""Sets of one author, so that nobody takes the room of all others."""
MOST_EDITS = 1000
LARGEST = 1024 * 1024
"""Characters of a set's edits as JSON."""
_PAST = 20
"""Revisions that are looked through for who changed an entry."""

Path = tuple[str, str]
"""``("services", "MWL")``."""


class Clash(Refused):
    """Entries that a set changes were changed by others too."""

    kind = "conflict"

    def __init__(self, number: int, conflicts: Sequence[Conflict]) -> None:
        said = "; ".join(f"{spell(c.path)}, {c.who}" for c in conflicts)
        super().__init__(
            f"others changed the same: {said}; look at both with 'willis changeset show {number}' and "
            "stage each as it shall be"
        )
        self.problems = tuple(map(_problem, conflicts))


@dataclass(frozen=True, slots=True)
class Staged:
    """One entry as it shall be; None: no such entry."""

    path: Path
    was: Data
    """What it said where the set began, or what was last decided against."""
    value: Data


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """Edits that wait to be applied together."""

    number: int
    base: int
    """The revision that ran when it was begun."""
    author: str
    reason: str
    since: float
    version: int
    """Counts its changes."""
    edits: tuple[Staged, ...] = ()

    def tag(self, running: Revision) -> str:
        """Names the set as it looks on what runs: another one as soon as either changes."""
        return f"{self.number}-{self.version}-{running.digest[:16]}"


@dataclass(frozen=True, slots=True)
class Conflict:
    """An entry that the set and somebody else changed in different ways."""

    path: Path
    was: Data
    mine: Data
    theirs: Data
    by: Revision
    """The one that brought theirs."""

    @property
    def who(self) -> str:
        """In words, with the time."""
        return f"by {self.by.author} in revision {self.by.number} since {when(self.by.at)}"


@dataclass(frozen=True, slots=True)
class Outlook:
    """A set on the document that runs now."""

    found: ChangeSet
    base: Revision
    running: Revision
    document: str
    """What would run; empty where the edits do not fit."""
    conflicts: tuple[Conflict, ...]
    problems: tuple[Problem, ...]

    @property
    def tag(self) -> str:
        return self.found.tag(self.running)


class ChangeSets:
    """All sets of a node. Used in the event loop's thread."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        """Raises StoreError."""
        self._store = store
        self._db = store.database
        self._db.has(_SCHEMA)
        self._clock = clock

    def begin(self, author: str, reason: str, base: str | None = None) -> ChangeSet:
        """An empty set on what runs. ``base``: only if that has this digest. Raises Refused."""
        running = self._running()
        if base not in (None, running.digest):
            raise Stale(f"{_runs(running)}, and that is another one; read it again and begin on that")
        known = self.all()
        mine = sum(each.author == author for each in known)
        if len(known) >= MOST or mine >= MOST_OF_ONE:
            count = f"{len(known)} change sets wait" if len(known) >= MOST else f"{mine} of {author} wait"
            raise Refused(
                f"{count}, and more are not kept; apply or discard one, see 'willis changeset list'"
            )
        values = (running.number, author, reason, self._clock(), 0, "[]")
        columns = _COLUMNS.partition(", ")[2]
        sql = f"INSERT INTO changeset ({columns}) VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608
        return self.find(int(self._db.execute(sql, values).lastrowid or 0))

    def all(self) -> list[ChangeSet]:
        """Oldest first."""
        return self._select("ORDER BY number")

    def find(self, number: int) -> ChangeSet:
        """Raises Unknown."""
        found = self._select("WHERE number = ?", number)
        if not found:
            raise Unknown(
                f"there is no change set {number}: applied, discarded or never begun; "
                "see 'willis changeset list' and 'willis history'"
            )
        return found[0]

    def discard(self, found: ChangeSet) -> None:
        """Forget a set, if it still is as it was ``found``."""
        self._db.execute(
            "DELETE FROM changeset WHERE number = ? AND version = ?", (found.number, found.version)
        )

    async def look(self, found: ChangeSet) -> Outlook:
        """How it stands now. Raises Unknown while no document runs."""
        running = self._running()
        past = [] if running.number == found.base else self._store.history(_PAST)
        return await asyncio.to_thread(_outlook, found, self._base(found, running), running, past)

    async def stage(self, found: ChangeSet, path: Path, value: Data, tag: str) -> Outlook:
        """Keep one more edit; ``value`` None: the entry goes. ``tag``: the set as its editor saw it.

        An entry that is wrong by itself is refused; what it lacks of others may come with the next
        edit. To stage an entry as it was takes its edit back. Raises Refused.
        """
        running = self._running()
        if tag != found.tag(running):
            raise Stale(
                f"change set {found.number} was changed since it was read, or what runs was: "
                f"{_runs(running)}; look at it again and repeat the edit on that"
            )
        try:
            edits = await asyncio.to_thread(_staged, found, self._base(found, running), running, path, value)
        except Unedited as error:
            raise Invalid(error.problems) from error
        kept = json.dumps([[e.path, e.was, e.value] for e in edits])
        if len(edits) > MOST_EDITS or len(kept) > LARGEST:
            raise Refused(
                f"a change set has at most {MOST_EDITS:,} edits and {LARGEST:,} characters; "
                "apply this one first and begin another, or apply a whole document"
            )
        sql = "UPDATE changeset SET edits = ?, version = version + 1 WHERE number = ? AND version = ?"
        if not self._db.execute(sql, (kept, found.number, found.version)).rowcount:
            raise Stale(f"change set {found.number} was changed meanwhile; look at it again")
        return await self.look(self.find(found.number))

    async def ready(self, found: ChangeSet) -> Outlook:
        """How it stands, if it can be applied. Raises Clash, Invalid."""
        outlook = await self.look(found)
        if outlook.conflicts:
            raise Clash(found.number, outlook.conflicts)
        if any(problem.severity is Severity.ERROR for problem in outlook.problems):
            raise Invalid(outlook.problems)
        return outlook

    async def apply(
        self, found: ChangeSet, wish: Wish, apply: Callable[[str, Wish], Awaitable[Revision]]
    ) -> Revision:
        """Make what it says run, by ``apply``, and forget it. Raises Refused.

        If we die between the two, the set is still there and says what runs already.
        """
        outlook = await self.ready(found)
        reason = wish.reason or found.reason or f"change set {found.number}"
        wish = replace(wish, reason=reason, base=outlook.running.digest)
        done = await apply(outlook.document, wish)
        self.discard(found)
        return done

    def _running(self) -> Revision:
        running = self._store.running()
        if running is None:
            raise Unknown("there is no document yet; 'willis apply' one")
        return running

    def _base(self, found: ChangeSet, running: Revision) -> Revision:
        return running if running.number == found.base else self._store.revision(found.base) or running

    def _select(self, where: str, *values: object) -> list[ChangeSet]:
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM changeset {where}", values).fetchall()  # noqa: S608
        return [
            ChangeSet(number, base, author, reason, since, version, _kept(edits))
            for number, base, author, reason, since, version, edits in rows
        ]


@lru_cache(maxsize=4)
def _said(document: str) -> dict[str, Data]:
    """What a document says; nobody changes it. A large one takes a second, and is asked for often."""
    return entries(document)


def _good_by_itself(path: Path, value: Data) -> None:
    """Whether an entry would be taken in some document. Raises Unedited."""
    try:
        edited("version: 1\n", (Edit(path, value),))
    except Unedited as error:
        raise Unedited(tuple(replace(problem, line=0) for problem in error.problems)) from None


def _kept(edits: str) -> tuple[Staged, ...]:
    return tuple(Staged((section, name), was, value) for (section, name), was, value in json.loads(edits))


def _runs(running: Revision) -> str:
    return f"revision {running.number} by {running.author} runs since {when(running.at)}"


def _staged(
    found: ChangeSet, base: Revision, running: Revision, path: Path, value: Data
) -> tuple[Staged, ...]:
    """The edits with one more. Raises Unedited, Unknown."""
    edits = {edit.path: edit for edit in found.edits}
    known, theirs = edits.get(path), entry(_said(running.document), path)
    if value is None and theirs is None and (known is None or known.value is None):
        raise Unknown(f"there is no {spell(path)} to take out; see 'willis changeset show {found.number}'")
    _good_by_itself(path, value)
    if known is None:
        was = entry(_said(base.document), path)
    else:
        # Who sends the tag of a set with a conflict has seen both sides: this decides it.
        was = theirs if _clashes(known, theirs) else known.was
    edits[path] = Staged(path, was, value)
    if same(was, value):
        del edits[path]
    return tuple(edits.values())


def _outlook(found: ChangeSet, base: Revision, running: Revision, past: list[Revision]) -> Outlook:
    said = _said(running.document)
    conflicts = []
    for edit in found.edits:
        theirs = entry(said, edit.path)
        if _clashes(edit, theirs):
            by = _bringer(edit.path, theirs, running, past, found.base)
            conflicts.append(Conflict(edit.path, edit.was, edit.value, theirs, by))
    try:
        document = edited(running.document, [Edit(edit.path, edit.value) for edit in found.edits])
        problems = load(document).problems
    except Unedited as error:
        document, problems = "", error.problems
    return Outlook(found, base, running, document, tuple(conflicts), problems)


def _clashes(edit: Staged, theirs: Data) -> bool:
    """Whether somebody else made it something that neither is as it was nor as it shall be."""
    return not same(theirs, edit.was) and not same(theirs, edit.value)


def _bringer(path: Path, theirs: Data, running: Revision, past: list[Revision], base: int) -> Revision:
    """The oldest revision after ``base`` from which on an entry says what it says now."""
    found = running
    for revision in past:
        in_force = revision.state is Standing.FORMER and not revision.note
        if revision.number >= running.number or not in_force:
            continue
        if revision.number <= base or not same(entry(_said(revision.document), path), theirs):
            break
        found = revision
    return found


def _problem(conflict: Conflict) -> Problem:
    what = f"It was changed {conflict.who} too."
    remedy = "Look at both sides, and stage it as it shall be."
    return Problem(spell(conflict.path), 0, Severity.ERROR, what, remedy, point(conflict.path))
