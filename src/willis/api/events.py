"""The routes of events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import FastAPI, Query
from fastapi.responses import StreamingResponse

from willis.api.lines import ndjson
from willis.api.needs import Asking, Still, needs
from willis.api.pages import Cursor, Limit, before, page
from willis.control.controller import Controller
from willis.control.events import Row
from willis.model.identity import Caller, Need
from willis.plan.rights import everywhere, sees

Json = dict[str, Any]
Last = Annotated[int, Query(ge=0, le=10_000, description="How many of the newest")]
Instead = Annotated[
    int | None, Query(ge=1, le=10_000, description="How many of the newest, instead of `limit`")
]


_ALL = 10_000
"""How many are kept."""


def routes(app: FastAPI, controller: Controller) -> None:
    """Add them to ``app``. Everybody gets the events of the services that they may read."""
    events = controller.events

    @app.get("/api/v1/events", **needs(Need.READ))
    async def listed(
        who: Asking,
        last: Instead = None,
        open: bool = False,  # noqa: A002 - the name in the URL
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Json:
        """The newest events first; with ``open`` only those that still hold."""
        most = last or limit
        rows = events.listed(
            most + 1 if everywhere(who, Need.READ) else _ALL, open_only=open, before=before(cursor)
        )
        found, further = page(filter(_theirs(controller, who), rows), most, cursor, _backwards)
        return {"events": found, "next_cursor": further}

    @app.get("/api/v1/events/follow", response_class=StreamingResponse, **needs(Need.READ))
    async def follow(who: Asking, still: Still, last: Last = 10) -> StreamingResponse:
        """The newest events and all that follow, a JSON object a line, until the client goes away."""
        found = _only(events.live(last), _theirs(controller, who))
        return StreamingResponse(ndjson(found, still), media_type="application/x-ndjson")


def _backwards(row: Row) -> int:
    return -int(str(row["number"]))


def _theirs(controller: Controller, who: Caller) -> Callable[[Row], bool]:
    """As the document is at the time of the question."""
    return lambda row: sees(who, controller.loop.config, str(row["about"]))


async def _only(rows: AsyncIterator[Row], wanted: Callable[[Row], bool]) -> AsyncIterator[Row]:
    async for row in rows:
        if wanted(row):
            yield row
