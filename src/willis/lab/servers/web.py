"""What the HTTP pieces share: several sockets under one uvicorn, and notes on connections and requests.

Only the path is noted, never the query: real ones carry patients' names. Each also answers
``/size?bytes=`` with that many bytes (0 to 1 GiB), to be measured on its way.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence

import uvicorn
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from willis.lab.servers.brief import Brief
from willis.lab.servers.ledger import Ledger

_BACKLOG = 1024
_KEEP_ALIVE_S = 300
_LARGEST = 1 << 30
_BLOCK = 65536


def serve(brief: Brief, ledger: Ledger, routes: Sequence[Route]) -> None:
    """Serve the routes on every socket of the brief until killed."""

    class Noting(H11Protocol):
        """The HTTP protocol, with a note of each new connection."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if self.client and self.server:
                ledger.note(self.client, self.server, "connect")

    async def note(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        peer, local = request.scope["client"], request.scope["server"]
        more = {"forwarded": value} if (value := request.headers.get("x-forwarded-for")) else {}
        what = f"{request.method} {request.url.path}"
        ledger.note(peer, local, what, ok=response.status_code < 400, **more)
        return response

    app = Starlette(routes=[Route("/size", _size), *routes])
    app.add_middleware(BaseHTTPMiddleware, dispatch=note)
    config = uvicorn.Config(
        app,
        http=Noting,
        ws="none",
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        log_level="warning",
        timeout_keep_alive=_KEEP_ALIVE_S,
    )
    sockets = [_bound(listen.address, listen.port) for listen in brief.listens]
    brief.ready_file.touch()
    asyncio.run(uvicorn.Server(config).serve(sockets=sockets))


def number(request: Request, name: str, largest: int) -> int | None:
    """The query's ``name`` as a number from 0 to ``largest``; None if it is none."""
    text = request.query_params.get(name, "0")
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    return int(text) if int(text) <= largest else None


async def _size(request: Request) -> Response:
    count = number(request, "bytes", _LARGEST)
    if count is None:
        return PlainTextResponse(f"bytes must be 0 to {_LARGEST}\n", 400)
    headers = {"content-length": str(count)}
    return StreamingResponse(_zeros(count), media_type="application/octet-stream", headers=headers)


async def _zeros(count: int) -> AsyncIterator[bytes]:
    block = bytes(_BLOCK)
    while count > 0:
        yield block[:count]
        count -= _BLOCK


def _bound(address: str, port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    if found.family == socket.AF_INET6:
        found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind((address, port))
    found.listen(_BACKLOG)
    return found
