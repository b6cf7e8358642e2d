"""Clients that say nothing, or everything too slowly."""

from __future__ import annotations

import asyncio

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from willis.web import protocol


async def _hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"hi"})


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_who_sends_no_whole_header_in_time_is_cut_off(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    whole = sent.endswith(b"\r\n\r\n")
    monkeypatch.setattr(protocol, "HEADER_S", 2.0 if whole else 0.1)  # who is in time may be held up

    async def drive() -> bytes:
        config = uvicorn.Config(
            _hello, http=protocol.PatientProtocol, lifespan="off", log_config=None, port=0
        )
        server = uvicorn.Server(config)
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        reader, writer = await asyncio.open_connection(*server.servers[0].sockets[0].getsockname())
        writer.write(sent)
        answer = await asyncio.wait_for(reader.read(), 60)  # until the server closes
        writer.close()
        await server.shutdown()
        return answer

    assert (b"hi" in asyncio.run(drive())) is whole
