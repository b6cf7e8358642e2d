"""Keeps the path of direct routing checked: every few seconds, and before a server gets its first client.

A server whose ordinary check begins to say up takes nothing new until somebody has knocked through
its VIP. A fault counts once the same VIP and port was open at some server: before that, a
firewall that lets in clients and not the node would look like a site without a single VIP. It is
kept over a restart of the engine, as verdicts of ordinary checks are.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from willis.control.database import StoreError
from willis.control.loop import Loop
from willis.doctor.rules_direct import Door, Doors, doors
from willis.model.check import Target
from willis.model.config import Config
from willis.model.service import Address
from willis.model.status import Health, Place, Verdict
from willis.plan.verdict import GOOD, Track

log = logging.getLogger("willis.paths")

_EVERY_S = 5.0
_PACE_S = 0.1
"""Between two looks at doors that are new: a thousand servers that come back take a few."""
_LONGEST_S = 10.0
"""After so long a look counts as failed."""
_NOT_YET = "its path through the VIP is not looked at yet"

Look = Callable[[Config, Sequence[Door]], Doors]


class Paths:
    """Of one node. Made and used in the event loop's thread; it knocks in a thread of its own."""

    def __init__(self, loop: Loop, look: Look | None, keep: Callable[[Mapping[Place, Health]], None]) -> None:
        """``look`` None: layer 4 of this node reaches servers by their own addresses (the light twin).
        ``keep`` gets all faults when one came or went; it raises StoreError."""
        self._loop = loop
        self._look = look
        self._keep = keep
        self._able = look is not None
        """Whether the last look could be taken: who cannot look must not hold servers back."""
        self._doors: dict[Target, list[Door]] | None = None
        """By what their ordinary checks look at. None until there is a document: what an engine
        finds at its start has clients already, and is not held back."""
        self._known: set[Door] = set()
        """Looked at since the ordinary check last began to say up."""
        self._asking: set[Door] = set()
        """The look that is under way speaks for these."""
        self._faults: dict[Door, Health] = {}
        self._proved: set[tuple[Address, int]] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        if self._look is not None:
            self._task = asyncio.get_running_loop().create_task(self._keep_looking(self._look))

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def follow(self, config: Config) -> None:
        """Look at these doors and no others."""
        status, first, found = self._loop.status, self._doors is None, list(doors(config))
        self._doors = {}
        for door in found:
            self._doors.setdefault(door.checked, []).append(door)
        now, places = set(found), {door.place for door in found}
        self._known = set(now) if first else self._known & now
        self._asking &= now
        self._proved &= {(door.vip, door.port) for door in now}
        faults = _restored(found, status.paths) if first else self._faults
        self._faults = {door: health for door, health in faults.items() if door in now}
        held = {p: h for p, h in status.paths.items() if p in places and h.verdict is Verdict.UNKNOWN}
        self._show(held)
        self._hold(door for door in self._well() if door not in self._known)

    def saw(self, looked_at: Target, before: Track, after: Track) -> None:
        """A verdict of the ordinary check, before it is acted upon."""
        if (before.health.verdict in GOOD) is (after.health.verdict in GOOD):
            return
        turned = (self._doors or {}).get(looked_at, ())
        self._known.difference_update(turned)
        self._asking.difference_update(turned)
        if after.health.verdict in GOOD:
            self._hold(turned)

    async def look(self, look: Look, *, whole: bool) -> None:
        """Once: at all servers that are well, or only at those that wait for it."""
        asked = [door for door in self._well() if whole or door not in self._known]
        if not asked:
            return
        self._asking = set(asked)
        try:
            async with asyncio.timeout(_LONGEST_S):
                found = await asyncio.to_thread(look, self._loop.config, asked)
            self._able = True
        except OSError as error:  # no right to raw sockets, an interface that went, or too slow
            found = self._unable(str(error) or "it takes too long")
        except Exception as error:  # noqa: BLE001 - a mistake of ours must hold no server back for ever
            found = self._unable(f"unexpectedly, {error!r}", error)
        self._known |= self._asking
        self._take(self._asking, found)

    def _unable(self, why: str, mistake: Exception | None = None) -> Doors:
        """Nothing is learnt. What was known is forgotten only when it fails twice in a row."""
        if self._able:
            log.warning("the path of direct routing is not checked: %s", why, exc_info=mistake)
        else:
            self._faults.clear()
        self._able = False
        return Doors()

    def _take(self, asked: Collection[Door], found: Doors) -> None:
        """Who is silent in all ways stays what it was; only an answer through the VIP brings it back."""
        self._proved |= {(door.vip, door.port) for door in found.fine}
        for door in asked:
            why = found.faults.get(door)
            if door in found.fine:
                self._faults.pop(door, None)
            elif why is not None and (door.vip, door.port) in self._proved:
                self._faults[door] = _bad(self._faults.get(door), why)
        places = {door.place for door in asked}
        status = self._loop.status
        self._show(
            {p: h for p, h in status.paths.items() if p not in places and h.verdict is Verdict.UNKNOWN}
        )

    def _show(self, held: Mapping[Place, Health]) -> None:
        """Who waits for a look, and who failed it, by the first of its doors; the latter is kept."""
        status = self._loop.status
        faults = {door.place: health for door, health in reversed(self._faults.items())}
        before = {p: h for p, h in status.paths.items() if h.verdict is not Verdict.UNKNOWN}
        paths = {**held, **faults}
        if paths != status.paths:
            self._loop.learn(replace(status, paths=paths))
        if faults != before:
            try:
                self._keep(faults)
            except StoreError as error:
                log.error("verdicts are not kept over a restart: %s", error)  # noqa: TRY400 - the text says all

    def _well(self) -> list[Door]:
        """The doors of servers whose ordinary check says up."""
        health = self._loop.status.health
        asked = (self._doors or {}).items()
        return [d for at, some in asked if health.get(at, Health()).verdict in GOOD for d in some]

    def _hold(self, fresh: Iterable[Door]) -> None:
        """Nothing new for these until they have been looked at."""
        status = self._loop.status
        held = {door.place: Health(Verdict.UNKNOWN, _NOT_YET, time.time()) for door in fresh}
        if self._able and held:
            self._loop.learn(replace(status, paths={**held, **status.paths}))
            self._wake.set()

    async def _keep_looking(self, look: Look) -> None:
        due = 0.0
        while True:
            whole = time.monotonic() >= due
            if whole:
                due = time.monotonic() + _EVERY_S
            self._wake.clear()
            await self.look(look, whole=whole)
            await asyncio.sleep(_PACE_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - time.monotonic())):
                    await self._wake.wait()


def _restored(found: Sequence[Door], kept: Mapping[Place, Health]) -> dict[Door, Health]:
    """Faults of an earlier run, at one door of each place: who is still shut at another is accused anew."""
    by_place = {door.place: door for door in reversed(found)}
    return {door: kept[place] for place, door in by_place.items() if place in kept}


def _bad(known: Health | None, why: str) -> Health:
    return Health(Verdict.MISCONFIGURED, why, time.time() if known is None else known.since)
