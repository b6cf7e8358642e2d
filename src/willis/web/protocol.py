"""HTTP as uvicorn speaks it, with an end to patience: silent clients and dripping headers are cut off.

uvicorn itself waits for a request's header without limit, so a few hundred silent connections
would keep everybody else out.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from willis.web.headers import secured

_GOODBYE_S = 0.5
HEADER_S = 10.0
"""Seconds for a whole header to arrive, from the connection's begin or the last answer's end."""


class PatientProtocol(H11Protocol):
    """For ``uvicorn.Config(http=...)``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's own arguments
        super().__init__(*args, **kwargs)
        self._patience: asyncio.TimerHandle | None = None
        self._last = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._last:
            self._let_go()
        else:
            self._watch()

    def shutdown(self) -> None:
        """The process stops: this answer is the last, and nobody waits for the client's goodbye."""
        self._last = True
        super().shutdown()
        if self.cycle is None or self.cycle.response_complete:
            self._let_go()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets the headers that every answer has."""
        head = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
        body = f"{msg}\n".encode("ascii")
        if self.conn.our_state is h11.IDLE or self.conn.our_state is h11.SEND_RESPONSE:
            answer = h11.Response(status_code=400, headers=secured(head), reason=b"Bad Request")
            for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _let_go(self) -> None:
        """Closing TLS waits for the peer's answer, half a minute if there is none."""
        self.loop.call_later(_GOODBYE_S, self.transport.abort)

    def _watch(self) -> None:
        """The timer runs as long as a header is awaited."""
        if self.conn.their_state is not h11.IDLE:
            self._rest()
        elif self._patience is None and not self.transport.is_closing():
            self._patience = self.loop.call_later(HEADER_S, self._too_slow)

    def _rest(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _too_slow(self) -> None:
        self._patience = None
        self.transport.abort()
