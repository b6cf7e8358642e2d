"""Long lists come in pages; nothing is lost or shown twice, whatever comes or goes meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.api.test_api import DOCUMENT, Site, Story, tell
from willis.api.pages import NoCursor, page

__all__ = ["tell"]


@given(
    rows=st.sets(st.text()),
    more=st.sets(st.text()),
    gone=st.sets(st.text()),
    limit=st.integers(1, 5),
)
def test_what_stays_is_seen_once(rows: set[str], more: set[str], gone: set[str], limit: int) -> None:
    seen, cursor, there = [], None, rows
    while True:
        found, cursor = page(there, limit, cursor, lambda row: row)
        assert len(found) <= limit
        seen += found
        if cursor is None:
            break
        there = (rows | more) - gone
    assert len(seen) == len(set(seen))
    assert rows - gone <= set(seen)


@pytest.mark.parametrize("cursor", ["", "?", "é", "MQ==", "bnVsbA==", "dHJ1ZQ=="])
def test_no_cursor(cursor: str) -> None:
    with pytest.raises(NoCursor):
        page(["a", "b"], 1, cursor, lambda row: row)


def test_history_events_and_the_audit_trail_come_in_pages(tell: Callable[[Story], None]) -> None:
    async def pages(s: Site, route: str, rows: str) -> list[int]:
        seen: list[int] = []
        cursor = ""
        while True:
            found = await s.get(f"{route}?limit=2{cursor}")
            seen += [row.get("number", row.get("revision")) for row in found[rows]]
            if found["next_cursor"] is None:
                return seen
            cursor = f"&cursor={found['next_cursor']}"

    async def story(s: Site) -> None:
        for n in range(5):
            await s.post("/apply", document=f"{DOCUMENT}# {n}\n")
        s.controller.events.look()
        assert await pages(s, "/history", "revisions") == [5, 4, 3, 2, 1]
        assert await pages(s, "/audit", "entries") == [4, 5, 2, 3, 1]
        events = [row["number"] for row in (await s.get("/events"))["events"]]
        assert await pages(s, "/events", "events") == events
        assert [row["number"] for row in (await s.get("/audit?last=1000"))["entries"]] == [1, 2, 3, 4, 5]
        for route in ("/history", "/audit", "/events"):
            await s.get(f"{route}?cursor=nonsense", 422)
            await s.get(f"{route}?limit=501", 422)

    tell(story)
