"""``python -m bench.scp PORT``: an SCP for C-ECHO that costs next to nothing, on every loopback address.

Real servers run on machines of their own. One beside the bench that forks for each association, as
dcmtk's do, would empty the caches of the very processor on which the checks are measured.
"""

from __future__ import annotations

import asyncio
import sys

from willis.protocols.dicom import dataset, dimse
from willis.protocols.dicom.pdu import (
    Answer,
    AssociateAccept,
    AssociateRequest,
    Data,
    Parser,
    Pdu,
    ReleaseReply,
    ReleaseRequest,
    encode,
)

_SUCCESS = dimse.Command(
    dimse.Field.ECHO | dimse.RESPONSE, responded_id=1, sop_class=dataset.VERIFICATION, status=dimse.SUCCESS
)


class _Association(asyncio.Protocol):
    def __init__(self) -> None:
        self._parser = Parser()
        self._transport: asyncio.Transport | None = None
        self._context = 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a TCP server's
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for pdu in self._parser.feed(data):
            self._answer(pdu)

    def _answer(self, pdu: Pdu) -> None:
        assert self._transport is not None  # noqa: S101 - ``connection_made`` comes first
        if isinstance(pdu, AssociateRequest):
            self._context = pdu.contexts[0].number
            accepted = Answer(self._context, 0, dataset.IMPLICIT_LITTLE_ENDIAN)
            self._transport.write(encode(AssociateAccept(pdu.called, pdu.calling, (accepted,))))
        elif isinstance(pdu, Data):
            self._transport.write(b"".join(map(encode, dimse.fragments(self._context, _SUCCESS, b"", 0))))
        elif isinstance(pdu, ReleaseRequest):
            self._transport.write(encode(ReleaseReply()))
            self._transport.close()


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Association, "0.0.0.0", port, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
