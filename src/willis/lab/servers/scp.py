"""What the DICOM pieces share: several sockets, patient time-outs, notes on connections and echoes."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Sequence
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.transport import AssociationServer

from willis.lab.servers.brief import Brief
from willis.lab.servers.ledger import Ledger

_ASSOCIATIONS = 256
_IDLE_S = 3600
"""Seconds an association may be silent: drains and failovers are tested with idle ones."""
_MAX_PDU = 131072

Handler = tuple[Any, Callable[[evt.Event], Any]]


def serve(ae: AE, brief: Brief, ledger: Ledger, handlers: Sequence[Handler]) -> None:
    """Listen on every socket of the brief and serve until killed."""
    logging.getLogger("pynetdicom").setLevel(logging.ERROR)
    ae.maximum_associations = _ASSOCIATIONS
    ae.maximum_pdu_size = _MAX_PDU
    ae.network_timeout = ae.dimse_timeout = _IDLE_S
    AssociationServer.request_queue_size = _ASSOCIATIONS

    def connected(event: evt.Event) -> None:
        ledger.note(peer_of(event), local_of(event), "connect")

    def echoed(event: evt.Event) -> int:
        ledger.note(peer_of(event), local_of(event), "C-ECHO")
        return 0x0000

    all_handlers: list[Any] = [(evt.EVT_CONN_OPEN, connected), (evt.EVT_C_ECHO, echoed), *handlers]
    for listen in brief.listens:
        ae.start_server((listen.address, listen.port), block=False, evt_handlers=all_handlers)
    brief.ready_file.touch()
    signal.pause()


def peer_of(event: evt.Event) -> tuple[Any, ...]:
    """The socket address of the association's other side."""
    return (event.assoc.requestor.address, event.assoc.requestor.port)


def local_of(event: evt.Event) -> tuple[Any, ...]:
    """The socket address that the client connected to; the wildcard once the socket is gone."""
    wrapped = event.assoc.dul.socket
    if wrapped is None or wrapped.socket is None:
        return (event.assoc.acceptor.address, event.assoc.acceptor.port)
    address: tuple[Any, ...] = wrapped.socket.getsockname()
    return address
