"""What this process itself refuses, as problems of RFC 9457, in the shape of the engine's own."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import JSONResponse


def problem(status: int, detail: str, *, retry_s: int | None = None) -> JSONResponse:
    """``detail``: why, and what to do. ``retry_s``: seconds after which it may work."""
    headers = {} if retry_s is None else {"retry-after": str(retry_s)}
    title = HTTPStatus(status).phrase  # what a problem without a type of its own is called
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(body, status, headers, media_type="application/problem+json")
