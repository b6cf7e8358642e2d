"""A connection to a server for the length of one look, and the transcript of what passes.

Every look that speaks goes through ``ask``: it bounds the time, closes whatever happens, and
turns each way to fail into a verdict. *Connected but silent* is what tells a hung application
from a dead host.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from willis.health import faults
from willis.health.faults import Ended, where
from willis.health.knock import Knock
from willis.health.trust import Trust
from willis.model.check import Check, Target
from willis.model.proxy import ServerTls
from willis.model.status import Verdict
from willis.plan.verdict import Result, Step
from willis.protocols.error import ProtocolError

_MOST_UNREAD = 1 << 20
"""Bytes that may wait to be read; a peer that says more has lost its mind."""
_ROOM = 4096
"""Bytes read at once. asyncio's own buffers are so large that the kernel maps and clears each of them."""
_MUTUAL = "; if it wants to see a client certificate, set tls.certificate"
_FAREWELL_S = 1.0
"""How long a peer may take to see our end of TLS."""

Talk = Callable[["Wire"], Awaitable[Ended]]


@dataclass(slots=True)
class Transcript:
    """What was sent and received, with the time since the look began."""

    began: float = field(default_factory=time.monotonic)
    steps: list[Step] = field(default_factory=list)
    answered: float | None = None
    """When the answer was there, where manners follow: they are not the server's speed."""

    def note(self, what: str, *, sent: bool) -> None:
        self.steps.append(Step(round((time.monotonic() - self.began) * 1000, 2), sent, what))

    def result(self, end: Ended, target: Target) -> Result:
        """The look as a whole."""
        return Result(
            at=time.time(),
            verdict=end.verdict,
            reason=end.reason,
            took_ms=((self.answered or time.monotonic()) - self.began) * 1000,
            sent=", ".join(step.what for step in self.steps if step.sent),
            received=", ".join(step.what for step in self.steps if not step.sent),
            kind=target.kind,
            transcript=tuple(self.steps),
        )


class _Inbox(asyncio.BufferedProtocol):
    """What came and was not read yet. (StreamReader and StreamWriter would double the cost of a look.)"""

    def __init__(self) -> None:
        self._room = memoryview(bytearray(_ROOM))
        self._unread = bytearray()
        self._over = False
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        self._unread += self._room[:nbytes]
        self._over = self._over or len(self._unread) > _MOST_UNREAD
        self._wake()

    def eof_received(self) -> None:
        self._over = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._over = True
        self._error = exc
        self._wake()

    async def read(self) -> bytes:
        """What came; nothing at the end. Raises what ended the connection."""
        while not self._unread:
            if self._error is not None:
                raise self._error
            if self._over:
                return b""
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        data = bytes(self._unread)
        self._unread.clear()
        return data

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


def _as_it_is(_: socket.socket) -> None:
    """A full connection needs nothing special."""


class Wire:
    """A full connection. What it awaits is told if it never comes."""

    def __init__(self, target: Target, transcript: Transcript, timeout_s: float) -> None:
        self.target = target
        self._timeout_s = timeout_s
        self.transcript = transcript
        self.awaited: str | None = None
        """None until the server has taken the connection."""
        self.judged: Ended | None = None
        """What the look says, once only manners are left (``judge``)."""
        self.asks_database = False
        """Whether the answer that is awaited is one that only a database can give."""
        self._sock: socket.socket | None = None
        self._inbox = _Inbox()
        self._transport: asyncio.Transport | None = None

    async def connect(self, context: ssl.SSLContext | None, name: str | None) -> None:
        """Raises Ended, OSError and ssl.SSLError."""
        target = self.target
        self._sock = await self._connected()
        self.awaited = "anything"
        loop = asyncio.get_running_loop()
        if context is None:
            self._transport, _ = await loop.create_connection(lambda: self._inbox, sock=self._sock)
            return
        self.awaited = "TLS ServerHello"
        self.transcript.note("TLS ClientHello", sent=True)
        self._transport, _ = await loop.create_connection(
            lambda: self._inbox,
            sock=self._sock,
            ssl=context,
            server_hostname=name or str(target.address),
            ssl_shutdown_timeout=_FAREWELL_S,
        )
        self.heard(str(self._transport.get_extra_info("ssl_object").version()))

    async def _connected(self) -> socket.socket:
        """Raises Ended; TimeoutError for silence."""
        self.transcript.note(f"TCP SYN to {where(self.target)}", sent=True)
        try:
            with Knock(self.target, _as_it_is, _as_it_is) as knock:
                outcome = await knock.answer(self._timeout_s)
                if outcome is None:
                    raise TimeoutError
                if outcome:
                    raise faults.later(outcome, self.target)
                sock = knock.taken()
        except TimeoutError:
            raise
        except OSError as error:
            raise faults.at_once(error.errno or errno.EIO, self.target) from error
        self.transcript.note("TCP SYN, ACK", sent=False)
        return sock

    def send(self, data: bytes, what: str, awaited: str) -> None:
        """``awaited`` is what must come next."""
        assert self._transport is not None  # noqa: S101 - ``connect`` came first
        self.awaited = awaited
        self.transcript.note(what, sent=True)
        self._transport.write(data)

    async def receive(self) -> bytes:
        """What came; nothing at the end of the stream."""
        assert self._sock is not None  # noqa: S101 - ``connect`` came first
        if self._sock.fileno() >= 0:
            # Servers that wait for our ACK (Nagle's algorithm) would seem 40 ms slower than they are.
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return await self._inbox.read()

    def judge(self, end: Ended) -> Ended:
        """What the look says, whatever becomes of the manners that are left."""
        self.judged = end
        self.transcript.answered = time.monotonic()
        return end

    def heard(self, what: str) -> None:
        self.transcript.note(what, sent=False)

    def closed(self) -> Ended:
        """The server ended the connection although something was still due."""
        last = next((step.what for step in reversed(self.transcript.steps) if not step.sent), "")
        # With TLS 1.3 a server asks for a certificate after the client's part of the handshake is over.
        hint = _MUTUAL if last.startswith("TLS") else ""
        self.heard("end of the connection")
        told = f"{where(self.target)} closed the connection instead of {self.awaited}{hint}"
        return Ended(Verdict.DEAD, told)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        elif self._sock is not None:
            self._sock.close()


async def ask(
    target: Target, check: Check, trust: Trust, tls: ServerTls | None, talk: Talk, speaks: str
) -> Result:
    """Connect, let ``talk`` speak, and judge. ``speaks`` names the protocol in sentences."""
    transcript = Transcript()
    wire = Wire(target, transcript, check.timeout_s)
    try:
        context = None if tls is None else trust.context(tls)
        async with asyncio.timeout(check.timeout_s):
            await wire.connect(context, tls.name if tls else None)
            end = await talk(wire)
    except Ended as ended:
        end = ended
    except TimeoutError:
        end = wire.judged or _silence(wire, check.timeout_s)
    except ssl.SSLCertVerificationError as error:
        end = Ended(Verdict.MISCONFIGURED, _certificate(target, error))
    except ssl.SSLError as error:
        end = Ended(
            Verdict.MISCONFIGURED, f"{where(target)} does not speak TLS as the check does{_why(error)}"
        )
    except ProtocolError as error:
        end = Ended(
            Verdict.MISCONFIGURED, f"what answers at {where(target)} does not speak {speaks}: {error}"
        )
    except OSError as error:
        end = _broken(wire, error)
    finally:
        wire.close()
    return transcript.result(end, target)


def _silence(wire: Wire, timeout_s: float) -> Ended:
    if wire.awaited is None:
        return faults.silent(wire.target, timeout_s)
    database = ", or its database does" if wire.asks_database else ""
    return Ended(
        Verdict.HUNG,
        f"{where(wire.target)} takes the connection but gives no answer ({wire.awaited}) "
        f"within {timeout_s:g} s: the application hangs{database}",
    )


def _broken(wire: Wire, error: OSError) -> Ended:
    code = error.errno or errno.ECONNRESET
    if wire.awaited is None or code in faults.OWN_FAULTS:
        return faults.at_once(code, wire.target)
    return wire.closed()


def _certificate(target: Target, error: ssl.SSLCertVerificationError) -> str:
    said = (error.verify_message or "not valid").rstrip(".")
    return (
        f"the certificate of {where(target)} does not pass: {said}; "
        "set tls.authority or tls.name, or renew the certificate"
    )


def _why(error: ssl.SSLError) -> str:
    return f" ({error.reason.lower().replace('_', ' ')})" if error.reason else ""
