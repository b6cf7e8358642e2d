"""The one way of a change: document → problems → plan → engines' check → apply → running revision."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import unified_diff

from willis.config import Loaded, Problem, load
from willis.control.database import StoreError
from willis.control.loop import Loop
from willis.control.store import NOT_CONFIRMED, Revision, Store, Trial, digest
from willis.engines.port import EngineError
from willis.model.config import Config
from willis.plan.diff import Change
from willis.plan.guard import Guard, guard
from willis.plan.impact import Impact, impact

log = logging.getLogger("willis.changes")

_TICK_S = 0.5


class Refused(Exception):
    """A change was not made; the text says why and what to do. What ran before runs on."""

    kind = "refused"
    """For programs: one of ``api.problems.KINDS``."""
    problems: tuple[Problem, ...] = ()
    """Where there are several reasons: each with its place in the document."""


class Unknown(Refused):
    """What was named does not exist."""

    kind = "unknown"


class Stale(Refused):
    """What a change was made from is no longer what runs."""

    kind = "stale"


class Invalid(Refused):
    """The document has errors."""

    kind = "invalid-document"

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        errors = sum(p.severity == "error" for p in problems)
        super().__init__(f"the document has {errors} error{'s' if errors != 1 else ''}")
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Plan:
    """What applying a document would do, before it is done."""

    base: int | None
    """The running revision that the plan starts from; None where there is none yet."""
    checksum: str
    """Names this plan: the step from the base to the document."""
    config: Config
    impact: tuple[Impact, ...]
    changes: tuple[Change, ...]
    guard: Guard
    warnings: tuple[Problem, ...]
    document: tuple[str, ...] = ()
    """How the document differs from the running one, in lines."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Who wants a change, why, and under which conditions."""

    author: str
    reason: str = ""
    force: bool = False
    """Although the guard refuses."""
    checksum: str | None = None
    """Only the plan of this name."""
    confirm_s: int | None = None
    """Unless confirmed within so many seconds, what ran before returns by itself."""
    base: str | None = None
    """Only if the running document has this digest."""


class Changes:
    """Plans and applies documents, one at a time."""

    def __init__(
        self,
        store: Store,
        loop: Loop,
        lacking: Callable[[Config], Iterable[str]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``lacking``: what a config names that this node does not have, in sentences with their remedies."""
        self._store = store
        self._loop = loop
        self._lacking = lacking
        self._clock = clock
        self._busy = asyncio.Lock()
        self._loaded: tuple[str, Loaded] | None = None
        """What was planned is mostly what is applied next."""
        self._timer: asyncio.Task[None] | None = None

    def start(self, returned: Callable[[Trial], None]) -> None:
        """Watch what waits to be confirmed. ``returned``: called when a trial was over."""
        self._timer = asyncio.get_running_loop().create_task(self._watch(returned))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def plan(self, document: str) -> Plan:
        """What ``document`` would change. Raises Invalid, or Refused if an engine would not take it."""
        loaded = await self._load(document)
        if loaded.config is None:
            raise Invalid(loaded.problems)
        config, status = loaded.config, self._loop.status
        lacking = "; ".join(self._lacking(config))
        if lacking:
            raise Refused(lacking)
        changes: list[Change] = []
        for keeper in self._loop.keepers:
            try:
                changes += await keeper.rehearse(config, status)
            except EngineError as error:
                raise Refused(f"{keeper.engine.name} would not take this: {error}") from error
        running = self._store.running()
        return Plan(
            base=running.number if running else None,
            checksum=_checksum(running, document),
            config=config,
            impact=self._impact(config),
            changes=tuple(changes),
            guard=guard(self._loop.config, config),
            warnings=loaded.problems,
            document=tuple(lines("" if running is None else running.document, document)),
        )

    async def apply(self, document: str, wish: Wish) -> Revision:
        """Make ``document`` the running revision, or change nothing and raise Refused."""
        async with self._busy:
            return await self._apply(document, wish)

    async def confirm(self, seen: Trial | None = None) -> Revision:
        """What runs on trial holds for good. ``seen``: only that trial. Raises Refused if nothing waits."""
        async with self._busy:
            running, trial = self._store.running(), self._store.trial()
            if trial is None or running is None or seen not in (None, trial):
                raise Refused("nothing waits to be confirmed; see 'willis history'")
            self._store.confirm()
            return running

    async def undo(self, author: str, seen: Trial | None = None) -> Revision:
        """Take back what runs on trial, else return to the document before this one.

        ``seen``: only that trial; it may be over by now. Raises Refused.
        """
        async with self._busy:
            trial = self._store.trial()
            if seen not in (None, trial):
                raise Refused(
                    f"revision {seen.revision} was confirmed or undone just now; see 'willis history'"
                )
            if trial is not None:
                return await self._take_back(trial, f"undone by {author}")
            running = self._store.running()
            former = None if running is None else self._store.before(running.number)
            if running is None or former is None:
                raise Refused("there is no revision before this one; see 'willis history'")
            return await self._apply(former.document, Wish(author, f"undo of revision {running.number}"))

    async def restore(self, number: int, wish: Wish) -> Revision:
        """The document of an earlier revision, as a new one. Raises Refused."""
        async with self._busy:
            found = self._store.revision(number)
            if found is None:
                raise Unknown(f"there is no revision {number}; see 'willis history'")
            reason = wish.reason or f"restore of revision {number}"
            return await self._apply(found.document, replace(wish, reason=reason))

    def trial(self) -> Trial | None:
        """What waits for somebody to confirm it."""
        return self._store.trial()

    async def _apply(self, document: str, wish: Wish) -> Revision:
        running, trial = self._store.running(), self._store.trial()
        if running is not None and trial is not None:
            raise Refused(
                f"revision {trial.revision} by {trial.author} waits to be confirmed since "
                f"{when(running.at)}; 'willis confirm' or 'willis undo' first"
            )
        if running is not None and wish.base not in (None, running.digest):
            raise Stale(
                f"revision {running.number} by {running.author} runs since {when(running.at)}, and this "
                "was made from another one; read it again and repeat the change on that"
            )
        plan = await self.plan(document)
        if wish.checksum is not None and wish.checksum != plan.checksum:
            raise Refused("something changed since that plan was made; look at a new plan and apply that")
        if not plan.guard.ok and not wish.force:
            raise Refused(f"the guard refuses this plan: it {plan.guard.reason}")
        if running is not None and running.digest == digest(document):
            return replace(running, impact=plan.impact)
        if wish.confirm_s is not None and running is None:
            raise Refused("this is the first document: there is nothing that could return; apply it for good")
        return await self._take(document, plan, wish, running)

    async def _take(self, document: str, plan: Plan, wish: Wish, running: Revision | None) -> Revision:
        candidate = self._store.propose(document, self._clock(), wish.author, wish.reason)
        try:
            await self._loop.adopt(plan.config)
        except EngineError as error:
            self._store.refuse(candidate.number, str(error))
            raise Refused(f"not applied, the last good revision stays: {error}") from error
        trial = None
        if wish.confirm_s is not None and running is not None:
            trial = Trial(candidate.number, running.number, wish.author, self._clock() + wish.confirm_s)
        self._store.promote(candidate.number, trial)
        return replace(candidate, impact=plan.impact)

    async def _take_back(self, trial: Trial, note: str) -> Revision:
        """Old or new, whole: if we die between the two, the next start takes the trial back itself."""
        base = self._store.revision(trial.base)
        config = None if base is None else (await self._load(base.document)).config
        if base is None or config is None:
            raise Refused(f"revision {trial.base} does not load any more; correct and apply a document")
        effect = self._impact(config)
        try:
            await self._loop.adopt(config)
        except EngineError as error:
            raise Refused(f"revision {trial.base} cannot return yet: {error}") from error
        self._store.revert(trial, note)
        return replace(base, impact=effect)

    async def _load(self, document: str) -> Loaded:
        if self._loaded is None or self._loaded[0] != document:
            self._loaded = document, await asyncio.to_thread(load, document)
        return self._loaded[1]

    def _impact(self, config: Config) -> tuple[Impact, ...]:
        """Of ``config`` on the sessions that are open now."""
        return impact(self._loop.config, config, self._loop.open_now())

    async def _watch(self, returned: Callable[[Trial], None]) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            try:
                trial = await self._over()
                if trial is not None:
                    returned(trial)
            except (Refused, StoreError) as error:
                log.error("%s; it is tried again", error)  # noqa: TRY400 - the text says all

    async def _over(self) -> Trial | None:
        """The trial that was over and has been taken back, if any. Raises Refused, StoreError."""
        async with self._busy:
            trial = self._store.trial()
            if trial is None or self._clock() < trial.until:
                return None
            await self._take_back(trial, NOT_CONFIRMED)
            log.warning("revision %d: %s; revision %d runs again", trial.revision, NOT_CONFIRMED, trial.base)
            return trial


def when(at: float) -> str:
    """A time in words, UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(sep=" ", timespec="seconds")


def lines(old: str, new: str) -> Iterator[str]:
    """The difference of two texts, as ``diff -u`` prints it."""
    return unified_diff(old.splitlines(), new.splitlines(), "before", "after", lineterm="")


def _checksum(running: Revision | None, document: str) -> str:
    """Verdicts are left out: a server that fails meanwhile makes it no other plan."""
    step = f"{running.digest if running else ''}\n{digest(document)}"
    return hashlib.sha256(step.encode()).hexdigest()[:16]
