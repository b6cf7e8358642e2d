"""Web piece: an imaging web application that says which host it runs on and whom it sees.

It keeps no session of its own: the load balancer's cookie alone ties a browser to it.
``/slow?ms=`` takes its time (0 to 60,000 ms), ``/size?bytes=`` sends that many bytes (0 to 1 GiB).
"""

from __future__ import annotations

import asyncio
import html
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from willis.lab.servers.archive import Archive
from willis.lab.servers.brief import read_own
from willis.lab.servers.ledger import Ledger
from willis.lab.servers.web import serve

_SLOWEST_MS = 60_000
_LARGEST = 1 << 30
_BLOCK = 65536

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{service} on {host}</title></head>
<body><h1>{service}</h1>
<p>Served by <b id="host">{host}</b> to <b id="client">{client}</b> (peer <b id="peer">{peer}</b>).</p>
<p>Archive: <span id="archive">{archive}</span>.</p>
</body></html>
"""


def main() -> None:
    """Serve until killed."""
    brief = read_own()
    archive = Archive(brief.archive) if brief.archive else None

    async def page(request: Request) -> Response:
        peer, local = request.scope["client"][0], request.scope["server"]
        client = request.headers.get("x-forwarded-for", peer)
        words = {
            "service": brief.service(local[0], local[1]),
            "host": brief.host,
            "client": client,
            "peer": peer,
            "archive": await archive.sentence() if archive is not None else "none on this host",
        }
        return HTMLResponse(_PAGE.format(**{key: html.escape(value) for key, value in words.items()}))

    async def slow(request: Request) -> Response:
        wait_ms = _number(request, "ms", _SLOWEST_MS)
        if wait_ms is None:
            return PlainTextResponse(f"ms must be 0 to {_SLOWEST_MS}\n", 400)
        await asyncio.sleep(wait_ms / 1000)
        return PlainTextResponse(f"{brief.host}\n")

    async def size(request: Request) -> Response:
        count = _number(request, "bytes", _LARGEST)
        if count is None:
            return PlainTextResponse(f"bytes must be 0 to {_LARGEST}\n", 400)
        headers = {"content-length": str(count)}
        return StreamingResponse(_zeros(count), media_type="application/octet-stream", headers=headers)

    serve(brief, Ledger(brief), [Route("/slow", slow), Route("/size", size), Route("/{rest:path}", page)])


def _number(request: Request, name: str, largest: int) -> int | None:
    text = request.query_params.get(name, "0")
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    return int(text) if int(text) <= largest else None


async def _zeros(count: int) -> AsyncIterator[bytes]:
    block = bytes(_BLOCK)
    while count > 0:
        yield block[:count]
        count -= _BLOCK


if __name__ == "__main__":
    main()
