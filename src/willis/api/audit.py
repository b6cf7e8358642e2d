"""The routes of the audit trail. Nothing here changes it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import FastAPI, Query
from fastapi.responses import StreamingResponse

from willis.api.lines import ndjson
from willis.api.needs import Still, needs
from willis.api.pages import Cursor, Limit, before, page
from willis.control.audit import Audit, Row
from willis.model.identity import Need

Json = dict[str, Any]
Last = Annotated[int | None, Query(ge=1, le=1000, description="How many of the newest, instead of `limit`")]


def routes(app: FastAPI, audit: Audit) -> None:
    """Add them to ``app``."""

    @app.get("/api/v1/audit", **needs(Need.AUDIT))
    async def entries(last: Last = None, limit: Limit = 50, cursor: Cursor = None) -> Json:
        """The newest entries, oldest first; ``next_cursor`` leads to the older ones."""
        most = last or limit
        found, further = page(audit.rows(most + 1, before(cursor)), most, cursor, _backwards)
        return {"entries": found[::-1], "next_cursor": further}

    @app.get("/api/v1/audit/verify", **needs(Need.AUDIT))
    async def verify() -> Json:
        """Whether the whole chain holds."""
        return audit.verify()

    @app.get("/api/v1/audit/export", response_class=StreamingResponse, **needs(Need.AUDIT))
    async def export(still: Still) -> StreamingResponse:
        """All entries, a JSON object a line."""
        return StreamingResponse(ndjson(_entries(audit), still), media_type="application/x-ndjson")


def _backwards(row: Row) -> int:
    return -int(str(row["number"]))


async def _entries(audit: Audit) -> AsyncIterator[dict[str, object]]:
    """In the event loop's thread, which is the store's."""
    for entry in audit.export():
        yield entry
