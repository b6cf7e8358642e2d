"""Gives the answer again to whoever sends a request again with its ``Idempotency-Key``.

Only of what is posted and changes something; nobody's requests have no key, since strangers are
not one caller. Inside ``Audited``: the same request sent again is no second act.
"""

from __future__ import annotations

import json
import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from willis.api.audited import changes
from willis.api.bounded import handed_on
from willis.api.needs import REPEATED, caller, need_of
from willis.api.problems import answer
from willis.control.changes import Refused
from willis.control.database import StoreError
from willis.control.once import LONGEST, Kept, Once, Repeated, digests
from willis.model.identity import Caller, Need, Way

HEADER = "Idempotency-Key"
PATTERN = r'"?[A-Za-z0-9._-]{16,128}"?'
"""With the quotes of RFC 8941, which the draft asks for, or without."""
SECRET = frozenset({Need.ADMINISTER, Need.SELF, Need.NOTHING})
"""Routes of what these need answer with tokens, codes and keys; no such answer is kept."""
_RETRY_S = "1"


class AtMostOnce:
    """Around the routes."""

    def __init__(self, app: ASGIApp, once: Once) -> None:
        self._app = app
        self._once = once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive) if scope["type"] == "http" else None
        keys = [] if request is None else request.headers.getlist(HEADER)
        if (
            request is None
            or not keys
            or not takes_key(request.method, request.url.path)
            or caller(request).way is Way.NOBODY
        ):
            await self._app(scope, receive, send)
            return
        if len(keys) > 1 or not re.fullmatch(PATTERN, keys[0]):
            detail = f"{HEADER} is one key of 16 to 128 letters, digits and . _ -, such as a UUID"
            await answer(request, "not-understood", detail)(scope, receive, send)
            return
        body = await request.body()
        name, asked = digests(_whose(caller(request)), keys[0].strip('"'), _told(request) + body)
        try:
            kept = self._once.begin(name, asked)
        except (Refused, StoreError) as error:
            await _refused(request, error)(scope, receive, send)
            return
        if kept is not None:
            scope[REPEATED] = True
            headers = {"Idempotent-Replayed": "true"}
            await Response(kept.body, kept.status, headers, kept.media)(scope, receive, send)
            return
        try:
            await self._app(scope, handed_on(body, receive), self._heard(name, scope, send))
        finally:
            self._once.end(name)

    def _heard(self, name: str, scope: Scope, send: Send) -> Send:
        """Keeps what passes by, before its end reaches the client."""
        status, media, body = 0, "", b""

        async def heard(message: Message) -> None:
            nonlocal status, media, body
            if message["type"] == "http.response.start":
                status = message["status"]
                media = dict(message["headers"]).get(b"content-type", b"").decode("latin-1")
            elif message["type"] == "http.response.body":
                body += message.get("body", b"") if len(body) <= LONGEST else b""
                if not message.get("more_body", False):
                    self._ended(name, Kept(status, media, body), need_of(scope))
            await send(message)

        return heard

    def _ended(self, name: str, found: Kept, need: Need | None) -> None:
        """After a fault of ours nobody knows what came of it: it stays as it is."""
        if found.status < 400:
            self._once.done(name, found, secret=need is None or need in SECRET)
        elif found.status < 500:
            self._once.undone(name)


def takes_key(method: str, path: str) -> bool:
    """Whether a key means anything for such a request."""
    return method == "POST" and changes(method, path)


def _whose(who: Caller) -> str:
    return f"{who.way} {who.name}"


def _told(request: Request) -> bytes:
    """What makes it the same request beside its body. With other rights it is another one."""
    grants = [[grant.role, *grant.services] for grant in caller(request).grants]
    if_match = request.headers.get("if-match", "")
    return json.dumps([request.url.path, request.url.query, if_match, grants]).encode() + b"\0"


def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, Refused):
        return answer(request, "store-failed", str(error))
    headers = {}
    if isinstance(error, Repeated):
        request.scope[REPEATED] = True
        headers = {"Retry-After": _RETRY_S} if error.kind == "still-running" else {}
    return answer(request, error.kind, str(error), headers=headers)
