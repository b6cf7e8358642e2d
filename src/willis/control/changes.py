"""The one way of a change: document → problems → plan → engines' check → apply → running revision."""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass

from willis.config import Problem, load
from willis.control.loop import Loop
from willis.control.store import Revision, Store, digest
from willis.engines.port import EngineError
from willis.model.config import Config
from willis.plan.diff import Change
from willis.plan.guard import Guard, guard
from willis.plan.impact import Impact, impact


class Refused(Exception):
    """A change was not made; the text says why and what to do. What ran before runs on."""


class Invalid(Refused):
    """The document has errors."""

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


class Changes:
    """Plans and applies documents, one at a time."""

    def __init__(self, store: Store, loop: Loop) -> None:
        self._store = store
        self._loop = loop
        self._busy = asyncio.Lock()

    async def plan(self, document: str) -> Plan:
        """What ``document`` would change. Raises Invalid, or Refused if an engine would not take it."""
        loaded = await asyncio.to_thread(load, document)
        if loaded.config is None:
            raise Invalid(loaded.problems)
        config, status = loaded.config, self._loop.status
        changes: list[Change] = []
        for keeper in self._loop.keepers:
            try:
                await keeper.check(config, status)
                changes += await keeper.changes(config, status)
            except EngineError as error:
                raise Refused(f"{keeper.engine.name} would not take this: {error}") from error
        running = self._store.running()
        return Plan(
            base=running.number if running else None,
            checksum=_checksum(running, document),
            config=config,
            impact=impact(self._loop.config, config),
            changes=tuple(changes),
            guard=guard(self._loop.config, config),
            warnings=loaded.problems,
        )

    async def apply(
        self, document: str, *, author: str, reason: str, force: bool = False, checksum: str | None = None
    ) -> Revision:
        """Make ``document`` the running revision, or change nothing and raise Refused.

        With ``checksum`` only the plan of that name is applied.
        """
        async with self._busy:
            plan = await self.plan(document)
            running = self._store.running()
            if checksum is not None and checksum != plan.checksum:
                raise Refused("something changed since that plan was made; look at a new plan and apply that")
            if not plan.guard.ok and not force:
                raise Refused(f"the guard refuses this plan: it {plan.guard.reason}")
            if running is not None and running.digest == digest(document):
                return running
            return await self._take(document, plan, author, reason)

    async def _take(self, document: str, plan: Plan, author: str, reason: str) -> Revision:
        candidate = self._store.propose(document, time.time(), author, reason)
        try:
            await self._loop.adopt(plan.config)
        except EngineError as error:
            self._store.refuse(candidate.number, str(error))
            raise Refused(f"not applied, the last good revision stays: {error}") from error
        self._store.promote(candidate.number)
        return candidate


def _checksum(running: Revision | None, document: str) -> str:
    """Verdicts are left out: a server that fails meanwhile makes it no other plan."""
    step = f"{running.digest if running else ''}\n{digest(document)}"
    return hashlib.sha256(step.encode()).hexdigest()[:16]
