"""The live stream: a snapshot of the status, then each second what changed, and events as they come.

One look a second serves all followers, and only while there are some. What is told is encoded
once and kept in a ring of bounded size. A follower reads from the ring at its own pace: one
that comes back soon goes on where it was, and one that is too slow or too late gets a new
snapshot; nobody is held up and nothing grows.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

import orjson

from willis.control.database import StoreError
from willis.control.events import Events, row
from willis.model.config import Config
from willis.model.identity import Caller, Grant, Need
from willis.plan.deltas import delta, only
from willis.plan.rights import allowed, everywhere, sees

log = logging.getLogger("willis.stream")

_LOOK_S = 1.0
_LINGER = 30
"""Looks without any follower after which nothing is kept: a browser comes back within seconds."""
_HEARTBEAT_S = 15.0
"""Proxies between take a silent connection for a dead one; also how often a credential is looked at."""
_KEPT = 120
_KEPT_BYTES = 4 * 1024 * 1024

Report = dict[str, Any]


@dataclass(slots=True)
class _Told:
    """One thing that was told, for those who may read all and for each scope that asked."""

    number: int
    kind: str
    data: Report
    frame: bytes
    scoped: dict[tuple[Grant, ...], bytes] = field(default_factory=dict)


class Stream:
    """Of one node. Made and used in the event loop's thread."""

    def __init__(
        self, report: Callable[[], Awaitable[Report]], config: Callable[[], Config], events: Events
    ) -> None:
        self._report = report
        self._config = config
        self._events = events
        self._ring: deque[_Told] = deque()
        self._bytes = 0
        self._number = 0
        self._life = token_hex(4)
        """Numbers of another engine's life, or from before all was forgotten, mean nothing."""
        self._known: Report | None = None
        self._followers = 0
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def close(self) -> None:
        """Every stream ends with ``bye``."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
        self._wake()

    async def follow(self, caller: Caller, last_id: str, still: Callable[[], bool]) -> AsyncIterator[bytes]:
        """Frames for ``caller``, after ``last_id`` if that is still known. ``still``: they may read on."""
        self._followers += 1
        try:
            await self._begin()
            life, at = self._life, self._after(last_id)
            yield b"retry: 2000\n\n"
            while not self._closed and life == self._life and still():
                news = self._news
                if at is None or at < self._oldest() - 1:
                    at = self._number  # before the follower takes it, since more may be told meanwhile
                    yield self._snapshot(caller)
                    continue
                for told in [each for each in self._ring if each.number > at]:
                    at = told.number
                    if frame := self._frame_for(caller, told):
                        yield frame
                if at < self._number:
                    continue
                with suppress(TimeoutError):
                    async with asyncio.timeout(_HEARTBEAT_S):
                        await news.wait()
                        continue
                yield b": still here\n\n"
            yield _frame("", "bye", {})
        finally:
            self._followers -= 1

    async def _begin(self) -> None:
        known = await self._report() if self._task is None else None
        if self._task is None and not self._closed:
            self._known = known
            self._task = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        idle = 0
        try:
            with self._events.follower() as events:
                while idle < _LINGER:
                    await asyncio.sleep(_LOOK_S)
                    idle = 0 if self._followers else idle + 1
                    for event in events.waiting():
                        self._tell("event", row(event))
                    self._compare(await self._report())
        except StoreError as error:
            log.error("the live stream ends: %s", error)  # noqa: TRY400 - the text says all
        finally:
            self._forget()

    def _compare(self, new: Report) -> None:
        changed = None if self._known is None else delta(self._known, new)
        self._known = new
        if changed is None:
            self._tell("snapshot", self._whole())
        elif changed:
            self._tell("state", {"at": time.time()} | changed)

    def _tell(self, kind: str, data: Report) -> None:
        self._number += 1
        told = _Told(self._number, kind, data, _frame(self._id(self._number), kind, data))
        self._ring.append(told)
        self._bytes += len(told.frame)
        while self._ring and (len(self._ring) > _KEPT or self._bytes > _KEPT_BYTES):
            self._bytes -= len(self._ring.popleft().frame)
        self._wake()

    def _wake(self) -> None:
        """All who wait now; whoever waits next waits for the next news."""
        self._news.set()
        self._news = asyncio.Event()

    def _forget(self) -> None:
        self._ring.clear()
        self._bytes, self._known, self._task, self._life = 0, None, None, token_hex(4)
        self._wake()

    def _whole(self) -> Report:
        known = self._known or {}
        return {"at": time.time(), "status": known, "events": self._events.listed(1000, open_only=True)}

    def _snapshot(self, caller: Caller) -> bytes:
        """As of the last look."""
        return self._scoped(caller, _Told(self._number, "snapshot", self._whole(), b""))

    def _frame_for(self, caller: Caller, told: _Told) -> bytes:
        """Empty: nothing in it is for them."""
        if everywhere(caller, Need.READ):
            return told.frame
        if caller.grants not in told.scoped:
            told.scoped[caller.grants] = self._scoped(caller, told)
        return told.scoped[caller.grants]

    def _scoped(self, caller: Caller, told: _Told) -> bytes:
        data = told.data
        if told.kind == "event":
            if not sees(caller, self._config(), str(data["about"])):
                return b""
        elif told.kind == "snapshot":
            events = [e for e in data["events"] if sees(caller, self._config(), str(e["about"]))]
            data = data | {"status": self._visible(caller, data["status"]), "events": events}
        else:
            data = self._visible(caller, data)
            if not data.get("services") and data.keys() <= {"at", "services"}:
                return b""
        return _frame(self._id(told.number), told.kind, data)

    def _visible(self, caller: Caller, report: Report) -> Report:
        names = [row["name"] for row in report.get("services", ())]
        return only(report, allowed(caller, Need.READ, names))

    def _oldest(self) -> int:
        """The number of the oldest that is kept, or of the next one."""
        return self._ring[0].number if self._ring else self._number + 1

    def _id(self, number: int) -> str:
        return f"{self._life}-{number}"

    def _after(self, last_id: str) -> int | None:
        """The number after which a follower goes on; None: it needs a snapshot."""
        life, _, number = last_id.partition("-")
        if life != self._life or not number.isascii() or not number.isdigit() or len(number) > 15:
            return None
        return int(number) if int(number) <= self._number else None


def _frame(name: str, kind: str, data: Report) -> bytes:
    """An event of the stream as the HTML standard (9.2, server-sent events) writes it."""
    head = f"id: {name}\n" if name else ""
    return b"%bevent: %b\ndata: %b\n\n" % (head.encode(), kind.encode(), orjson.dumps(data))
