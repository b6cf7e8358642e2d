"""Writes every request that changes something into the audit trail, done or refused.

Of a body only a few fields are looked at, by name: no document, key or passphrase.
"""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response

from willis.api.needs import REASON, REFUSED, REPEATED, caller
from willis.control.audit import Audit
from willis.control.budget import Budget
from willis.model.identity import Way

_BASE = "/api/v1"
_HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})
_READING = re.compile(r"/(validate|plan|changesets/[^/]+/plan)\Z|/check/")
"""Posted, since they need a body or take time, but they change nothing."""
_DENIED = (401, 403)
_ABOUT = ("where", "name", "service", "client", "user", "confirm_s", "for_s", "lasts_s")
_LONGEST_REFUSAL = 65_536
_OF_STRANGERS = 30
"""Entries a minute about requests of nobody: whoever guesses must not fill the trail."""


class Audited(BaseHTTPMiddleware):
    """Around the whole application."""

    def __init__(self, app: Any, audit: Audit) -> None:  # noqa: ANN401 - ASGI's own type
        super().__init__(app)
        self._audit = audit
        self._strangers = Budget(_OF_STRANGERS)

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        route = request.url.path.removeprefix(_BASE)
        if not changes(request.method, request.url.path):
            answer = await call_next(request)
            if answer.status_code not in _DENIED or not _came_as_somebody(request):
                return answer
            said, before = {}, None
        else:
            said = _fields(await request.body())
            before = self._audit.digest()
            answer = await call_next(request)
            if REPEATED in request.scope:
                return answer
        refusal, answer = await _refusal(answer)
        who = caller(request)
        if who.way is not Way.NOBODY or self._strangers.lets():
            self._note(request, route, said, before, refusal)
        return answer

    def _note(
        self, request: Request, route: str, said: dict[str, Any], before: str | None, refusal: str | None
    ) -> None:
        who = caller(request)
        about = [f"{key} {said[key]}" for key in _ABOUT if said.get(key) is not None]
        about += [f"{key} {value}" for key, value in request.query_params.items() if key in _ABOUT]
        about += _grants(said.get("grants"))
        left_out = self._strangers.told() if who.way is Way.NOBODY else 0
        reason = request.scope.get(REASON) or said.get("reason", "")
        if left_out:
            reason = f"{left_out} more requests of nobody were left out here"
        self._audit.note(
            who.name,
            f"{request.method} {route}",
            ", ".join(about),
            author=str(said.get("author", "")) if who.way is Way.CONSOLE else "",
            source=who.source,
            reason=str(reason),
            before=before,
            result=refusal or "done",
            request_id=request.scope.get("request_id", ""),
        )


def changes(method: str, path: str) -> bool:
    """Whether such a request may change something."""
    return method not in _HARMLESS and not _READING.match(path.removeprefix(_BASE))


def _came_as_somebody(request: Request) -> bool:
    """Whoever just has not signed in yet is no event."""
    return caller(request).way is not Way.NOBODY or REFUSED in request.scope


def _grants(said: Any) -> list[str]:  # noqa: ANN401 - what somebody sent
    """Roles as they were asked for, of a body that may not be well-formed."""
    grants = [each for each in said if isinstance(each, dict)] if isinstance(said, list) else []
    return [f"{each.get('role')} in {_listed(each.get('services', '*'))}" for each in grants]


def _listed(said: Any) -> str:  # noqa: ANN401 - what somebody sent
    return " ".join(map(str, said)) if isinstance(said, list) else str(said)


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
