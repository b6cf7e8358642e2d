"""Hands requests on to the engine's socket, and its answers back as they come.

Each request gets a connection of its own, which costs little on a unix socket: so no answer can
reach the wrong person, and an engine that was restarted is found again by itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from willis.web import cookies
from willis.web.guard import client_of, target_of
from willis.web.headers import towards_client, towards_engine
from willis.web.problems import problem

MOST_BODY = 16 * 1024 * 1024
"""Bytes of a request's body: a site document has 8 MiB at most, and JSON escapes some of it."""
MOST_BODY_OF_STRANGERS = 16 * 1024
"""Without a credential only signing in is possible."""
_MOST_BODIES = 64 * 1024 * 1024
"""Bytes of all bodies that are held at one time."""
_SLOWEST_BODY_S = 60.0
_CONNECT_S = 5.0
_MOST_CONNECTIONS = 512
_ENDLESS = ("text/event-stream", "application/x-ndjson")
_OPEN_A_SESSION = frozenset({"/api/v1/login", "/api/v1/login/oidc", "/api/v1/setup"})
_END_THE_SESSION = "/api/v1/logout"

Json = dict[str, Any]


class Refused(Exception):
    """A request cannot be handed on; ``answer`` says why."""

    def __init__(self, answer: Response) -> None:
        super().__init__()
        self.answer = answer


class Engine:
    """The engine at ``socket``. ``stopping``: set once this process is about to end."""

    def __init__(self, socket: Path, stopping: asyncio.Event) -> None:
        limits = httpx.Limits(max_connections=_MOST_CONNECTIONS, max_keepalive_connections=0)
        self._transport = httpx.AsyncHTTPTransport(uds=str(socket), limits=limits)
        self._stopping = stopping
        self._held = 0

    async def forward(self, request: Request) -> Response:
        """The engine's answer to a request as it is. For the routes of the API."""
        session = cookies.read(request.headers.get("cookie"), cookies.SESSION)
        stranger = session is None and "authorization" not in request.headers
        try:
            body = await self._body(request, MOST_BODY_OF_STRANGERS if stranger else MOST_BODY)
            try:
                headers = towards_engine(request.headers.raw, client_of(request.scope), session)
                found = await self._send(request.method, target_of(request.scope), headers, body)
            finally:
                self._held -= len(body)
        except Refused as refused:
            return refused.answer
        except ClientDisconnect:
            return problem(400, "the client went away")  # nobody reads it
        if request.method == "POST" and request.url.path in _OPEN_A_SESSION and found.is_success:
            return await opened(found)
        answer = self._streamed(found)
        if request.method == "POST" and request.url.path == _END_THE_SESSION and found.is_success:
            answer.headers.append("set-cookie", cookies.ended(cookies.SESSION))
        return answer

    async def ask(self, method: str, path: str, client: str, body: Json | None = None) -> httpx.Response:
        """A question of our own on behalf of ``client``, its answer read whole. Raises Refused."""
        content = b"" if body is None else json.dumps(body).encode()
        headers = towards_engine([(b"content-type", b"application/json")], client, None)
        found = await self._send(method, path.encode("ascii"), headers, content)
        try:
            await found.aread()
        except httpx.TransportError:
            raise Refused(_away()) from None
        return found

    async def close(self) -> None:
        await self._transport.aclose()

    async def _send(
        self, method: str, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> httpx.Response:
        # An answer may take as long as it takes: an apply waits for a reload, a stream for news.
        patience = {"connect": _CONNECT_S, "read": None, "write": _SLOWEST_BODY_S, "pool": _CONNECT_S}
        asked = httpx.Request(
            method,
            "http://engine/",
            headers=headers,
            content=body,
            extensions={"target": target, "timeout": patience},
        )
        try:
            return await self._transport.handle_async_request(asked)
        except httpx.TransportError:
            raise Refused(_away()) from None

    async def _body(self, request: Request, most: int) -> bytes:
        """The whole of it, counted in ``_held``. Raises Refused: too long, too slow, or too many at once."""
        parts: list[bytes] = []
        length = 0
        try:
            async with asyncio.timeout(_SLOWEST_BODY_S):
                async for part in request.stream():
                    length += len(part)
                    self._held += len(part)
                    if length > most:
                        why = f"this request may have a body of {most:,} bytes at most"
                        raise Refused(problem(413, why))
                    if self._held > _MOST_BODIES:
                        why = "too many large requests at once; try again"
                        raise Refused(problem(503, why, retry_s=5))
                    parts.append(part)
        except TimeoutError:
            self._held -= length
            why = f"the body did not arrive within {_SLOWEST_BODY_S:.0f} s"
            raise Refused(problem(408, why)) from None
        except (Refused, ClientDisconnect, asyncio.CancelledError):
            self._held -= length
            raise
        return b"".join(parts)

    def _streamed(self, found: httpx.Response) -> StreamingResponse:
        pieces = found.aiter_raw()
        if found.headers.get("content-type", "").startswith(_ENDLESS):
            pieces = _until(self._stopping, pieces)
        answer = StreamingResponse(_closing(found, pieces), found.status_code)
        answer.raw_headers = towards_client(found.headers.raw)
        return answer


async def opened(found: httpx.Response) -> Response:
    """The answer that opened a session, with the session as a cookie and nowhere else."""
    try:
        content: Json = json.loads(await found.aread())
        session = content.pop("session")
        answer = JSONResponse(content, found.status_code, _kept(found.headers))
        answer.headers.append("set-cookie", cookies.session(session))
    except (httpx.TransportError, KeyError, TypeError, ValueError):
        return problem(502, "the engine's answer holds no session; see its log")
    finally:
        await found.aclose()
    return answer


def _kept(headers: httpx.Headers) -> dict[str, str]:
    """Of an answer whose body becomes another."""
    return {name: headers[name] for name in ("x-request-id",) if name in headers}


async def _closing(found: httpx.Response, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """``pieces``; whatever ends them, the engine's connection is closed.

    An answer that breaks off raises, and so breaks off for the client too: it is not taken for whole.
    """
    try:
        async for piece in pieces:
            yield piece
    finally:
        await found.aclose()


async def _until(stopping: asyncio.Event, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """``pieces`` of an answer without an end, until it is time to stop."""
    stop = asyncio.ensure_future(stopping.wait())
    piece = asyncio.ensure_future(_next(pieces))
    try:
        while True:
            await asyncio.wait({piece, stop}, return_when=asyncio.FIRST_COMPLETED)
            found = None if stop.done() else piece.result()
            if found is None:
                return
            yield found
            piece = asyncio.ensure_future(_next(pieces))
    finally:
        for waiting in (piece, stop):
            waiting.cancel()
        # Not gather: cancelled itself, as often as the client's going away is told, it would cancel
        # the reading again while that closes the engine's connection.
        await asyncio.wait({piece, stop})


async def _next(pieces: AsyncIterator[bytes]) -> bytes | None:
    return await anext(pieces, None)


def _away() -> Response:
    return problem(503, "the engine does not answer; traffic is not affected. Try again shortly", retry_s=5)
