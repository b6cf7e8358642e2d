"""The live stream: a snapshot, then deltas and events, for each what they may read; and how it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.api.test_api import DOCUMENT, Site, Story, tell
from tests.unit.plan.test_deltas import merged
from willis.control import stream as module
from willis.model.identity import Caller, Grant, Role, Way
from willis.model.status import Verdict

__all__ = ["tell"]

ADMIN = Caller("ann", Way.CONSOLE, (Grant(Role.ADMIN),))
VIEWER = Caller("bob", Way.SESSION, (Grant(Role.VIEWER, ("Vitrea*",)),))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_S", 0.01)


@dataclass
class Listener:
    """Somebody who follows."""

    frames: AsyncIterator[bytes]
    last_id: str = ""

    async def next(self) -> tuple[str, dict[str, Any]]:
        """The next event's kind and data; heartbeats are passed over."""
        async with asyncio.timeout(20):
            async for frame in self.frames:
                fields = dict(line.split(": ", 1) for line in frame.decode().strip().split("\n"))
                if "event" in fields:
                    self.last_id = fields.get("id", self.last_id)
                    return fields["event"], json.loads(fields["data"])
        raise AssertionError("the stream ended without a word")

    async def until(self, kind: str) -> dict[str, Any]:
        while True:
            found, data = await self.next()
            if found == kind:
                return data


def follow(
    s: Site, caller: Caller = ADMIN, last_id: str = "", still: Callable[[], bool] = lambda: True
) -> Listener:
    return Listener(s.controller.stream.follow(caller, last_id, still), last_id)


async def status(s: Site) -> dict[str, Any]:
    """As JSON tells it."""
    found: dict[str, Any] = await s.get("/status")
    return found


def test_deltas_lead_from_the_snapshot_to_the_status(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        listener = follow(s)
        kind, data = await listener.next()
        assert kind == "snapshot"
        known = data["status"]
        assert known == await status(s)
        s.see(Verdict.UP)
        s.see(Verdict.DEAD, "vna2")
        while known != await status(s):
            news = await listener.until("state")
            del news["at"]
            known = merged(known, news)
        await s.post("/apply", document=DOCUMENT.replace("10.60.0.101", "10.60.0.105"))
        while known != await status(s):
            kind, data = await listener.next()
            if kind == "state":
                del data["at"]
                known = merged(known, data)
        await s.post("/drain", where="vna1")
        s.controller.events.look()
        about = ""
        while about != "vna1":
            about = (await listener.until("event"))["about"]

    tell(story)


def test_everybody_hears_only_of_what_they_may_read(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        s.see(Verdict.UP)
        listener = follow(s, VIEWER)
        _, data = await listener.next()
        assert [row["name"] for row in data["status"]["services"]] == ["VitreaRead"]
        s.see(Verdict.DEAD, "vna2")
        news = await listener.until("state")
        assert [row["name"] for row in news["services"]] == ["VitreaRead"]

    tell(story)


def test_who_comes_back_goes_on_and_who_comes_late_begins_anew(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        listener = follow(s)
        await listener.next()
        s.see(Verdict.UP)
        await listener.until("state")
        seen = listener.last_id
        s.see(Verdict.DEAD, "vna2")
        await listener.until("state")
        again = follow(s, last_id=seen)
        assert (await again.next())[0] == "state"
        for unknown in ("", "0-1", f"{seen}9", f"{seen}x", seen.replace("-", "-²"), "-", "nonsense"):
            assert (await follow(s, last_id=unknown).next())[0] == "snapshot"
        s.controller.stream._ring.clear()
        assert (await follow(s, last_id=seen).next())[0] == "snapshot"

    tell(story)


def test_who_is_slow_gets_a_snapshot_and_holds_nobody_up(
    tell: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_KEPT", 3)

    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        slow, quick = follow(s), follow(s)
        await slow.next()
        await quick.next()
        for n in range(8):
            s.see(Verdict.DEAD if n % 2 else Verdict.UP, "vna2")
            await quick.until("state")
        assert (await slow.next())[0] == "snapshot"
        assert len(s.controller.stream._ring) <= 3

    tell(story)


def test_a_stream_ends_with_bye(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        rights = [True]
        expired, open_one = follow(s, VIEWER, still=lambda: rights[0]), follow(s)
        await expired.next()
        await open_one.next()
        rights[0] = False
        s.see(Verdict.UP)
        while (await expired.next())[0] != "bye":
            pass
        s.controller.stream.close()
        while (await open_one.next())[0] != "bye":
            pass

    tell(story)


def test_nothing_is_looked_at_without_followers(
    tell: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LINGER", 2)

    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        assert s.controller.stream._task is None
        listener = follow(s)
        await listener.next()
        task = s.controller.stream._task
        assert task is not None
        await listener.frames.aclose()  # type: ignore[attr-defined]
        await asyncio.wait_for(task, 20)
        assert s.controller.stream._task is None
        assert s.controller.stream._known is None

    tell(story)
