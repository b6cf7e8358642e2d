"""A real server for the layer-4 tests: it says its name and the address that it sees.

usage: ebpf_server.py NAME PORT [UDP-ADDRESS…]

TCP greets with ``NAME CLIENT`` and answers every line with ``NAME LINE``; UDP, bound
to the VIPs so that it answers from them, answers every datagram with ``NAME CLIENT LENGTH``.
"""

from __future__ import annotations

import asyncio
import socket
import sys


def client_of(peer: tuple[str, int]) -> str:
    return peer[0].removeprefix("::ffff:")


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    name = sys.argv[1]
    try:
        writer.write(f"{name} {client_of(writer.get_extra_info('peername'))}\n".encode())
        while line := await reader.readline():
            writer.write(f"{name} {line.decode()}".encode())
            await writer.drain()
        writer.close()
    except ConnectionError:
        pass


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(f"{sys.argv[1]} {client_of(addr)} {len(data)}".encode(), addr)


async def main() -> None:
    port = int(sys.argv[2])
    wire = socket.create_server(("::", port), family=socket.AF_INET6, backlog=1024, dualstack_ipv6=True)
    server = await asyncio.start_server(serve, sock=wire)
    loop = asyncio.get_running_loop()
    for address in sys.argv[3:]:
        await loop.create_datagram_endpoint(Datagrams, (address, port))
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
