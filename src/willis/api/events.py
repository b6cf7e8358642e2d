"""The routes of events."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Query
from fastapi.responses import StreamingResponse

from willis.api.lines import ndjson
from willis.api.needs import needs
from willis.control.events import Events
from willis.model.identity import Need

Json = dict[str, Any]
Last = Annotated[int, Query(ge=0, le=10_000, description="How many of the newest")]


def routes(app: FastAPI, events: Events) -> None:
    """Add them to ``app``."""

    @app.get("/api/v1/events", **needs(Need.READ))
    async def listed(last: Last = 100, open: bool = False) -> Json:  # noqa: A002 - the name in the URL
        """The newest events first; with ``open`` only those that still hold."""
        return {"events": events.listed(last, open_only=open)}

    @app.get("/api/v1/events/follow", response_class=StreamingResponse, **needs(Need.READ))
    async def follow(last: Last = 10) -> StreamingResponse:
        """The newest events and all that follow, a JSON object a line, until the client goes away."""
        return StreamingResponse(ndjson(events.live(last)), media_type="application/x-ndjson")
