"""Events of one node: what holds now, what has ended, who follows, and who is alerted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict

from willis.control.alerts import Alerter
from willis.control.broadcast import Broadcast, Follower
from willis.control.budget import Budget
from willis.control.database import StoreError
from willis.control.loop import Loop
from willis.control.store import Store
from willis.model.event import Condition, Event, Severity
from willis.plan.events import Key, Watched, conditions, step

log = logging.getLogger("willis.events")

_TICK_S = 1.0
_LOGGED = 10
"""Lines a minute in the log, of errors and of all else."""

Row = dict[str, object]


class Events:
    """Made and used in the event loop's thread."""

    def __init__(
        self,
        loop: Loop,
        store: Store,
        alerter: Alerter,
        sources: Sequence[Callable[[], Iterable[Condition]]] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``sources``: what others find out of the ordinary."""
        self._loop = loop
        self._store = store
        self._alerter = alerter
        self._sources = sources
        self._clock = clock
        self._errors, self._others = Budget(_LOGGED), Budget(_LOGGED)
        self._news: Broadcast[Event] = Broadcast()
        self._watched: dict[Key, Watched] = {
            key: Watched(Condition(e.severity, e.about, e.what), e.since, e)
            for key, e in store.open_events().items()
        }
        self._next = store.last_event() + 1
        self._judged = loop.config, loop.status
        self._of_judged = conditions(*self._judged)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.get_running_loop().create_task(self._watch())

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._alerter.close()

    def listed(self, most: int, *, open_only: bool = False, before: int | None = None) -> list[Row]:
        """The newest events first; of those with numbers below ``before``."""
        return [row(event) for event in self._store.events(most, open_only, before)]

    async def live(self, most: int) -> AsyncIterator[Row]:
        """The newest events, oldest first, and all that follow, until the engine stops."""
        with self._news.follower() as news:
            for event in reversed(self._store.events(most, False)):
                yield row(event)
            async for event in news:
                yield row(event)

    def end_follows(self) -> None:
        """The engine stops; ``close`` comes once all answers have ended."""
        self._news.close()

    def follower(self) -> AbstractContextManager[Follower[Event]]:
        """All that begins, comes back or ends from now on."""
        return self._news.follower()

    def look(self) -> None:
        """Once: what began, came back or ended since the last look. Raises StoreError."""
        found = self._of_site() | self._of_engines()
        self._watched, told = step(self._watched, found, self._clock(), self._next)
        if not told:
            return
        self._next = max(self._next, max(event.number for event in told) + 1)
        keys = {w.event.number: key for key, w in self._watched.items() if w.event is not None}
        self._store.keep_events({event: keys.get(event.number) for event in told})
        for event in told:
            self._news.tell(event)
        self._say([event for event in told if event.times == 1 or event.ended is not None])

    def _say(self, events: list[Event]) -> None:
        for event in events:
            self._alerter.tell(event, self._loop.config.alerts)
            self._note(event)

    def _note(self, event: Event) -> None:
        """One line in the log, if it is not one too many."""
        budget = self._errors if event.severity is Severity.ERROR else self._others
        if not budget.lets():
            return
        if left_out := budget.told():
            log.warning("%d more events were not written here; see 'willis events'", left_out)
        word = "begins" if event.ended is None else "has ended"
        level = _LEVELS[event.severity]
        log.log(level, "event %d %s: %s: %s", event.number, word, event.about, event.what)

    def _of_site(self) -> dict[Key, Condition]:
        """Of what all servers are and nothing else, so most looks find what the one before found."""
        at = self._loop.config, self._loop.status
        if any(now is not then for now, then in zip(at, self._judged, strict=True)):
            self._judged, self._of_judged = at, conditions(*at)
        return self._of_judged

    def _of_engines(self) -> dict[Key, Condition]:
        found: dict[Key, Condition] = {}
        for keeper in self._loop.keepers:
            name = keeper.engine.name
            if keeper.failed:
                what = keeper.sentence.removeprefix(f"{name}: ")
                found["engine", name] = Condition(Severity.ERROR, name, what)
            for alarm in keeper.alarms:
                found["alarm", f"{name}: {alarm.partition(' ')[0]}"] = Condition(
                    Severity.WARNING, name, alarm
                )
        for source in self._sources:
            found |= {("other", f"{c.about}: {c.topic or c.what}"): c for c in source()}
        return found

    async def _watch(self) -> None:
        while True:
            try:
                self.look()
            except StoreError as error:
                log.error("events cannot be kept: %s", error)  # noqa: TRY400 - the text says all
            await asyncio.sleep(_TICK_S)


_LEVELS = {Severity.INFO: logging.INFO, Severity.WARNING: logging.WARNING, Severity.ERROR: logging.ERROR}


def row(event: Event) -> Row:
    """An event as plain data."""
    return asdict(event) | {"state": "open" if event.ended is None else "ended"}
