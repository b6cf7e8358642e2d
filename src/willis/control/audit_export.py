"""Sends every entry of the audit trail to the collectors of the document: RFC 5424 over TLS (RFC 5425).

The trail in the store is the queue: how far each collector has come is kept beside it, so
nothing is lost while one is away, whatever becomes of this process, and order stays. Syslog
has no receipt. What serves as one is the end of a connection: we send a batch, say goodbye
(``close_notify``), and only a collector whose TLS has read all of it answers the goodbye. Until
then the batch counts as not sent and goes again; a collector may get entries twice, and sees it
by their number.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from willis.certificates.store import CertificateError, CertificateStore
from willis.control.audit import row
from willis.control.audit_messages import Source, message
from willis.control.database import Database, StoreError
from willis.control.loop import Loop
from willis.control.receivers import trusting
from willis.model.audit import Act, Entry
from willis.model.collector import AuditCollector
from willis.model.event import Condition, Severity

log = logging.getLogger("willis.audit")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS audit_sent (collector TEXT PRIMARY KEY, number INTEGER NOT NULL);
"""
_TICK_S = 1.0
_BATCH = 200
_PATIENCE_S = 10.0
_SLOWEST_S = 60.0
_NO_GOODBYE = "it ended the connection without close_notify (RFC 5425, 4.4): what it read is not known"

T = TypeVar("T")


@dataclass(slots=True)
class _Line:
    """One collector as of now."""

    due: float = 0.0
    """When it is tried again, by the monotonic clock."""
    pause_s: float = _TICK_S
    failure: str | None = None
    behind: int = 0
    task: asyncio.Task[None] | None = None


class AuditExport:
    """Made and used in the event loop's thread; connections are made in others."""

    def __init__(self, node: str, loop: Loop, database: Database, certificates: CertificateStore) -> None:
        """Raises StoreError."""
        database.has(_SCHEMA)
        self._node = node
        self._loop = loop
        self._database = database
        self._certificates = certificates
        self._lines: dict[AuditCollector, _Line] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to send what is due."""
        self._task = asyncio.get_running_loop().create_task(self._watch())

    def close(self) -> None:
        """Stop; what was not sent is sent after the next start."""
        for task in (self._task, *(line.task for line in self._lines.values())):
            if task is not None:
                task.cancel()

    def conditions(self) -> Iterator[Condition]:
        """Collectors that have not got everything and fail."""
        for collector, line in self._lines.items():
            if line.failure is not None:
                what = f"{line.behind} entries of the audit trail wait to be sent: {line.failure}"
                yield Condition(Severity.WARNING, f"audit collector {collector.server}", what, "behind")

    async def _watch(self) -> None:
        while True:
            self._follow()
            await asyncio.sleep(_TICK_S)

    def _follow(self) -> None:
        """Have every collector of the document served, each by a task of its own."""
        wanted = self._loop.config.audit
        for gone in self._lines.keys() - set(wanted):
            line = self._lines.pop(gone)
            if line.task is not None:
                line.task.cancel()
        for collector in wanted:
            line = self._lines.setdefault(collector, _Line())
            if (line.task is None or line.task.done()) and time.monotonic() >= line.due:
                line.task = asyncio.get_running_loop().create_task(self._serve(collector, line))

    async def _serve(self, collector: AuditCollector, line: _Line) -> None:
        """Send all that waits, or note why not and when to try again."""
        try:
            while batch := self._waiting(collector):
                await self._send(collector, batch)
                self._sent(collector, int(batch[-1]["number"]))
                line.failure, line.pause_s = None, _TICK_S
        except (OSError, CertificateError, StoreError) as error:
            said = str(error) or type(error).__name__
            if said != line.failure:
                log.warning("audit collector %s: %s; it is tried again", collector.server, said)
            line.failure, line.due = said, time.monotonic() + line.pause_s
            line.pause_s = min(line.pause_s * 2, _SLOWEST_S)
            line.behind = self._behind(collector)

    async def _send(self, collector: AuditCollector, batch: Sequence[dict[str, Any]]) -> None:
        """Raises OSError, CertificateError."""
        source = Source(self._node, self._loop.config.site)
        messages = [message(entry, collector.format, source) for entry in batch]
        await asyncio.to_thread(deliver, messages, collector, self._trust(collector))

    def _trust(self, collector: AuditCollector) -> ssl.SSLContext:
        context = trusting(collector.authority, self._certificates.authority_path)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if collector.certificate is not None:
            context.load_cert_chain(self._certificates.path(collector.certificate))
        return context

    def _waiting(self, collector: AuditCollector) -> list[dict[str, Any]]:
        sql = "SELECT number, act, chain FROM audit WHERE number > ? ORDER BY number LIMIT ?"
        rows = self._database.execute(sql, (self._position(collector), _BATCH))
        return [row(Entry(number, Act(**json.loads(act)), chain)) for number, act, chain in rows]

    def _behind(self, collector: AuditCollector) -> int:
        sql = "SELECT count(*) FROM audit WHERE number > ?"
        return int(self._database.execute(sql, (self._position(collector),)).fetchone()[0])

    def _position(self, collector: AuditCollector) -> int:
        """The last entry that it got; a new collector gets the trail from its beginning."""
        sql = "SELECT number FROM audit_sent WHERE collector = ?"
        row = self._database.execute(sql, (str(collector),)).fetchone()
        return 0 if row is None else int(row[0])

    def _sent(self, collector: AuditCollector, number: int) -> None:
        self._database.execute("INSERT OR REPLACE INTO audit_sent VALUES (?, ?)", (str(collector), number))


def deliver(messages: Sequence[bytes], collector: AuditCollector, trust: ssl.SSLContext) -> None:
    """Send all over one connection and wait until the collector has read them. Raises OSError.

    TLS is driven by hand, since ``SSLSocket.unwrap`` takes a fatal alert for a goodbye, and that
    is how a collector of TLS 1.3 refuses our certificate: after it has got our messages.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trust.wrap_bio(incoming, outgoing, server_hostname=collector.server)
    with socket.create_connection((collector.server, collector.port), _PATIENCE_S) as plain:

        def through(step: Callable[[], T]) -> T:
            """What ``step`` gives once the bytes that it waits for are here."""
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    plain.sendall(outgoing.read())
                    received = plain.recv(65_536)
                    if not received:
                        raise OSError(_NO_GOODBYE) from None
                    incoming.write(received)

        through(tls.do_handshake)
        tls.write(b"".join(b"%d " % len(each) + each for each in messages))
        with suppress(ssl.SSLWantReadError):
            tls.unwrap()
        with suppress(ssl.SSLZeroReturnError):
            while through(lambda: tls.read(65_536)):
                pass
