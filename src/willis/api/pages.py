"""Long lists in pages, and answers that are not sent again to whoever has them already.

A cursor says after which row the next page begins, by the row's own key and not by its place:
rows that come or go meanwhile move nothing. Clients hand it back as it came.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar

from fastapi import Query, Request
from fastapi.responses import JSONResponse, Response

from willis.control.changes import Refused

Key = TypeVar("Key", int, str)
Row = TypeVar("Row")

MOST = 500
Limit = Annotated[int, Query(ge=1, le=MOST, description="How many rows at most")]
Cursor = Annotated[str | None, Query(max_length=400, description="`next_cursor` of the page before")]


class NoCursor(Refused):
    """What came as a cursor is none of this list."""

    kind = "not-understood"

    def __init__(self) -> None:
        super().__init__("this is no cursor of this list; take next_cursor of a page, or leave it out")


def page(
    rows: Iterable[Row], limit: int, cursor: str | None, key: Callable[[Row], Key]
) -> tuple[list[Row], str | None]:
    """At most ``limit`` rows after ``cursor`` in the order of ``key``, and the cursor of the next page."""
    ordered = sorted(rows, key=key)
    if cursor is not None and ordered:
        after = start(cursor, type(key(ordered[0])))
        ordered = [row for row in ordered if key(row) > after]
    shown = ordered[:limit]
    return shown, _cursor(key(shown[-1])) if len(ordered) > limit else None


def start(cursor: str, kind: type[Key]) -> Key:
    """The key after which a page begins. Raises NoCursor."""
    try:
        found = json.loads(urlsafe_b64decode(cursor.encode("ascii")))
    except ValueError:
        raise NoCursor from None
    if type(found) is not kind:
        raise NoCursor
    return found


def before(cursor: str | None) -> int | None:
    """Of numbered rows, newest first (``key``: minus the number): the number below which a page begins."""
    return None if cursor is None else -start(cursor, int)


def tagged(request: Request, content: dict[str, Any], tag: str | None = None) -> Response:
    """``content`` with its ETag; 304 without a body for whoever has it (RFC 9110, 13.1.2).

    ``tag``: where a part of the content already has a name, such as a document's digest.
    """
    named = tag or hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
    headers = {"ETag": f'"{named}"'}
    known = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    if headers["ETag"] in known or known == ["*"]:
        return Response(status_code=304, headers=headers)
    return JSONResponse(content, headers=headers)


def _cursor(key: int | str) -> str:
    return urlsafe_b64encode(json.dumps(key).encode()).decode()
