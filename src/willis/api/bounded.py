"""Bounds what a request may bring, before anything reads it: little from strangers, who can only sign in."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from willis.api.needs import caller
from willis.api.problems import answer
from willis.model.identity import Way

MOST = 16 * 1024 * 1024
"""Bytes: a document has 8 MiB at most, and JSON escapes some of it."""
MOST_OF_STRANGERS = 16 * 1024


class Bounded:
    """Inside the door. A body is read whole and then handed on in one piece."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        most = MOST_OF_STRANGERS if caller(request).way is Way.NOBODY else MOST
        try:
            body = await _read(request, most)
        except ClientDisconnect:
            return
        if body is None:
            refusal = answer(request, "too-large", f"the body has more than {most:,} bytes")
            await refusal(scope, receive, send)
            return
        await self._app(scope, handed_on(body, receive), send)


def handed_on(body: bytes, receive: Receive) -> Receive:
    """Tells a body that was read whole; whatever comes after it, as it comes."""
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return whole.pop() if whole else await receive()

    return again


async def _read(request: Request, most: int) -> bytes | None:
    """None: there is more. Raises ClientDisconnect."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            return None
        parts.append(part)
    return b"".join(parts)
