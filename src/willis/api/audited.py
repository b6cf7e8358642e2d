"""Writes every request that changes something into the audit trail, done or refused.

Of a body only a few fields are looked at, by name: no document, key or passphrase.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response

from willis.control.audit import Audit

_BASE = "/api/v1"
_HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})
_READING = ("/validate", "/plan", "/check/")
"""Posted, since they need a body or take time, but they change nothing."""
_ABOUT = ("where", "name", "service", "client", "confirm_s", "for_s")
_LONGEST_REFUSAL = 65_536


class Audited(BaseHTTPMiddleware):
    """Around the whole application."""

    def __init__(self, app: Any, audit: Audit) -> None:  # noqa: ANN401 - ASGI's own type
        super().__init__(app)
        self._audit = audit

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        route = request.url.path.removeprefix(_BASE)
        if request.method in _HARMLESS or route.startswith(_READING):
            return await call_next(request)
        said = _fields(await request.body())
        before = self._audit.digest()
        answer = await call_next(request)
        refusal, answer = await _refusal(answer)
        about = [f"{key} {said[key]}" for key in _ABOUT if said.get(key) is not None]
        about += [f"{key} {value}" for key, value in request.query_params.items() if key in _ABOUT]
        self._audit.note(
            request.client.host if request.client else "unknown",
            f"{request.method} {route}",
            ", ".join(about),
            author=str(said.get("author", "")),
            source="socket",
            reason=str(said.get("reason", "")),
            before=before,
            result=refusal or "done",
        )
        return answer


def _fields(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


async def _refusal(answer: Any) -> tuple[str | None, Response]:  # noqa: ANN401 - a streaming response of Starlette's
    """Why a request was refused; the answer as it was."""
    if answer.status_code < 400:
        return None, answer
    body = b"".join([part async for part in answer.body_iterator])
    whole = Response(body, answer.status_code, dict(answer.headers))
    detail = _fields(body[:_LONGEST_REFUSAL]).get("detail")
    return f"{answer.status_code}: {detail if isinstance(detail, str) else 'refused'}", whole
