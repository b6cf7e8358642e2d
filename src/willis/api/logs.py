"""The routes of what goes on now: lines of the access log, and top."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Query
from fastapi.responses import StreamingResponse

from willis.api.lines import ndjson
from willis.api.needs import Asking, Still, needs, theirs
from willis.control.logbook import Logbook
from willis.model.identity import Need

Json = dict[str, Any]
Last = Annotated[int, Query(ge=0, le=2000, description="How many of the newest lines come first")]


def routes(app: FastAPI, logbook: Logbook) -> None:
    """Add them to ``app``."""

    @app.get("/api/v1/top", **needs(Need.READ))
    async def top(who: Asking) -> Json:
        """Each service: connections and bytes a second, and how long requests took in the last minute."""
        return theirs(who, logbook.top())

    @app.get("/api/v1/logs/{service}", **needs(Need.READ))
    async def lines(service: str, last: Last = 20) -> Json:
        """The newest lines of a service's access log."""
        return {"service": service, "lines": logbook.last(service, last)}

    @app.get("/api/v1/logs/{service}/follow", response_class=StreamingResponse, **needs(Need.READ))
    async def follow(service: str, still: Still, last: Last = 20) -> StreamingResponse:
        """The same and all that follow, a JSON object a line, until the client goes away."""
        logbook.last(service, 0)  # refuses before the answer begins
        found = ndjson(logbook.live(service, last), still)
        return StreamingResponse(found, media_type="application/x-ndjson")
