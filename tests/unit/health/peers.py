"""Servers of a few lines on loopback, and one look at them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

from willis.health.looks import Looks
from willis.model.check import Check, Question, Target
from willis.plan.verdict import Result

CHECK = Check(timeout_s=10.0)
QUICK = Check(timeout_s=1.0)

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def look_at(
    serve: Serve, question: Question, check: Check = CHECK, tls: ssl.SSLContext | None = None
) -> Result:
    """What a look says of a server that treats each connection with ``serve``, by ``tls`` where given."""

    async def treat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    async def run() -> Result:
        server = await asyncio.start_server(treat, "127.0.0.1", 0, ssl=tls)
        async with server:
            host, port = server.sockets[0].getsockname()
            return await Looks().look(Target(ip_address(host), port, question), check)

    return asyncio.run(run())


def says(*answers: bytes, linger: bool = False) -> Serve:
    """Gives one answer each time something comes; then closes, or lingers in silence."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            if not await reader.read(65536):
                return
            writer.write(answer)
            await writer.drain()
        if linger:
            await reader.read(-1)

    return serve


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes everything and says nothing."""
    await reader.read(-1)
