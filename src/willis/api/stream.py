"""The route of the live stream (server-sent events)."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Header
from fastapi.responses import StreamingResponse

from willis.api.needs import Asking, Still, needs
from willis.control.controller import Controller
from willis.model.identity import Need

LastId = Annotated[
    str, Header(alias="Last-Event-ID", max_length=100, description="Go on after what had this id")
]


class EventStream(StreamingResponse):
    """The media type of server-sent events."""

    media_type = "text/event-stream"


def routes(app: FastAPI, controller: Controller) -> None:
    """Add it to ``app``."""

    @app.get("/api/v1/stream", response_class=EventStream, **needs(Need.READ))
    async def stream(who: Asking, still: Still, last_event_id: LastId = "") -> StreamingResponse:
        """The status as it is, then what changes each second, and events; only of services one may read."""
        frames = controller.stream.follow(who, last_event_id, still)
        return EventStream(frames, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
