"""HL7 piece: an MLLP receiver that writes each message down, then acknowledges it (AA, MSA-2 = MSH-10)."""

from __future__ import annotations

import asyncio

from hl7.mllp import (  # type: ignore[import-untyped]
    HL7StreamReader,
    HL7StreamWriter,
    InvalidBlockError,
    start_hl7_server,
)

from willis.lab.servers.brief import read_own
from willis.lab.servers.ledger import Ledger

_LARGEST = 1 << 20
_BACKLOG = 256


async def serve() -> None:
    """Serve until killed."""
    brief = read_own()
    ledger = Ledger(brief)

    async def receive(reader: HL7StreamReader, writer: HL7StreamWriter) -> None:
        peer, local = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
        ledger.note(peer, local, "connect")
        try:
            while True:
                message = await reader.readmessage()
                head = message.segment("MSH")
                kind, control = "^".join(str(head(9)).split("^")[:2]), str(head(10))
                ledger.note(peer, local, kind, control=control)
                writer.writemessage(message.create_ack())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, InvalidBlockError, ValueError) as error:
            if not isinstance(error, asyncio.IncompleteReadError) or error.partial:
                ledger.note(peer, local, "broken", ok=False, reason=str(error))
        finally:
            writer.close()

    servers = [
        await start_hl7_server(
            receive, listen.address, listen.port, limit=_LARGEST, encoding="utf-8", backlog=_BACKLOG
        )
        for listen in brief.listens
    ]
    brief.ready_file.touch()
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(serve())
