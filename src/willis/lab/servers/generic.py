"""Generic piece: echoes TCP streams and UDP datagrams, each answer with the host's name before it."""

from __future__ import annotations

import asyncio
from typing import Any

from willis.lab.servers.brief import Brief, read_own
from willis.lab.servers.ledger import Ledger
from willis.model.service import Protocol

_CHUNK = 65536


class _Datagrams(asyncio.DatagramProtocol):
    """Answers each datagram from the address that it was sent to."""

    def __init__(self, brief: Brief, ledger: Ledger) -> None:
        self._brief = brief
        self._ledger = ledger

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._ledger.note(addr, self._transport.get_extra_info("sockname"), "datagram")
        self._transport.sendto(f"{self._brief.host} ".encode() + data, addr)


async def serve() -> None:
    """Serve until killed."""
    brief = read_own()
    ledger = Ledger(brief)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer, local = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
        ledger.note(peer, local, "connect")
        try:
            while data := await reader.read(_CHUNK):
                ledger.note(peer, local, "echo")
                writer.write(f"{brief.host} ".encode() + data)
                await writer.drain()
        except ConnectionError as error:
            ledger.note(peer, local, "broken", ok=False, reason=str(error))
        finally:
            writer.close()

    loop = asyncio.get_running_loop()
    for listen in brief.listens:
        where = (listen.address, listen.port)
        if listen.protocol is Protocol.UDP:
            await loop.create_datagram_endpoint(lambda: _Datagrams(brief, ledger), local_addr=where)
        else:
            await asyncio.start_server(echo, *where, backlog=256)
    brief.ready_file.touch()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
