"""Drain, halt and online, over both layers in one act; and what becomes of such an order by itself."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from willis.control.changes import Refused
from willis.control.loop import Loop
from willis.control.store import Store
from willis.model.status import Admin, Place
from willis.plan.admin import AdminRefusal, find, left_without, order
from willis.plan.terms import Term, due, kept

log = logging.getLogger("willis.orders")

_NO_TERM = Term()
_TICK_S = 1.0
_QUIET_S = 3.0
"""So long nothing may run before a place counts as idle: counters are as old as the engines' last pass."""


@dataclass(frozen=True, slots=True)
class Done:
    """What an order touched."""

    services: tuple[str, ...]
    short: tuple[str, ...]
    """Services without a server for new connections now."""


class Orders:
    """Of one node. Made and used in the event loop's thread."""

    def __init__(
        self,
        loop: Loop,
        store: Store,
        told: Callable[[str, str, str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``told``: hears of what an order became by itself: the state, the place and why."""
        self._loop = loop
        self._store = store
        self._told = told
        self._clock = clock
        self.terms = store.terms()
        self._quiet_since: dict[Place, float] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch the terms."""
        self._task = asyncio.get_running_loop().create_task(self._watch())

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def give(self, where: str, state: Admin, *, term: Term = _NO_TERM, force: bool = False) -> Done:
        """Bring ``HOST`` or ``SERVICE/HOST`` into ``state``. Raises Refused."""
        if state is Admin.ONLINE and not term.open_ended:
            raise Refused("online has no end; give drain or halt a time instead")
        if state is Admin.HALT and term.halt_when_idle:
            raise Refused("what is halted has no connections to wait for; drain it to wait for them")
        config, old = self._loop.config, self._loop.status
        try:
            place = find(config, where)
            new = order(old, place, state)
        except AdminRefusal as refusal:
            raise Refused(str(refusal)) from refusal
        short = left_without(config, old, new)
        if short and not force:
            raise Refused(
                f"{place} is the last server for new connections of {', '.join(short)}; "
                f"bring another online first, or use --force"
            )
        self._take(new.admin, {**self.terms, place: term})
        self._quiet_since.pop(place, None)
        touched = (place.service,) if place.service else tuple(s.name for s in config.services_of(place.host))
        return Done(touched, tuple(short))

    def forget_strangers(self) -> None:
        """Drop the states of hosts and services that the document no longer has."""
        config, status = self._loop.config, self._loop.status
        known = {}
        for place, state in status.admin.items():
            try:
                known[find(config, str(place))] = state
            except AdminRefusal:
                log.info("%s is no longer in the document; its state %s is forgotten", place, state)
        if len(known) != len(status.admin):
            self._take(known, self.terms)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            for place, state in list(due(self._loop.status.admin, self.terms, self._clock(), self._idle)):
                self._by_itself(place, state)

    def _by_itself(self, place: Place, state: Admin) -> None:
        """Never refused: online leaves no service shorter, and nor does a halt of what takes nothing new."""
        admin = {p: s for p, s in self._loop.status.admin.items() if p != place}
        if state is not Admin.ONLINE:
            admin[place] = state
        self._take(admin, {**self.terms, place: Term(self.terms[place].until)})
        why = "its time is over" if state is Admin.ONLINE else "no connection is left"
        log.info("%s is %s now: %s", place, state, why)
        self._told(state.value, str(place), why)

    def _take(self, admin: Mapping[Place, Admin], terms: Mapping[Place, Term]) -> None:
        self.terms = kept(admin, terms)
        self._store.keep_admin(admin, self.terms)
        self._loop.learn(replace(self._loop.status, admin=admin))

    def _idle(self, place: Place) -> bool:
        if self._active(place):
            self._quiet_since.pop(place, None)
            return False
        now = self._clock()
        return now - self._quiet_since.setdefault(place, now) >= _QUIET_S

    def _active(self, place: Place) -> int:
        """Connections open at a place, as of each engine's last pass."""
        return sum(
            counted.active
            for (service, host), counted in self._loop.traffic().items()
            if host == place.host and place.service in (None, service)
        )
