"""Web piece: an imaging web application that says which host it runs on and whom it sees.

It keeps no session of its own: the load balancer's cookie alone ties a browser to it.
``/slow?ms=`` takes its time (0 to 60,000 ms).
"""

from __future__ import annotations

import asyncio
import html

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from willis.lab.servers.archive import Archive
from willis.lab.servers.brief import read_own
from willis.lab.servers.ledger import Ledger
from willis.lab.servers.web import number, serve

_SLOWEST_MS = 60_000

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
        wait_ms = number(request, "ms", _SLOWEST_MS)
        if wait_ms is None:
            return PlainTextResponse(f"ms must be 0 to {_SLOWEST_MS}\n", 400)
        await asyncio.sleep(wait_ms / 1000)
        return PlainTextResponse(f"{brief.host}\n")

    serve(brief, Ledger(brief), [Route("/slow", slow), Route("/{rest:path}", page)])


if __name__ == "__main__":
    main()
