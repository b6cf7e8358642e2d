"""Gives every request a name, which its answer, its problem and the log carry.

A client's own ``X-Request-Id`` is kept where it is a plain token, so that its log and ours can
be laid side by side.
"""

from __future__ import annotations

import re
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADER = "X-Request-Id"
_SANE = re.compile(r"[A-Za-z0-9._-]{8,128}\Z")


class Named:
    """Around the whole application; the name stands in the scope as ``request_id``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope).get(_HEADER, "")
        name = sent if _SANE.match(sent) else str(uuid4())
        scope["request_id"] = name

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[_HEADER] = name
            await send(message)

        await self._app(scope, receive, send_named)
