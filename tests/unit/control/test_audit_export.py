"""Every entry reaches every collector: in order, over TLS that is verified, again until it is read."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import dr, site
from tests.pki import Root, pem
from willis.certificates.store import CertificateStore
from willis.control import audit_export as room
from willis.control.audit import Audit
from willis.control.audit_export import AuditExport
from willis.control.loop import Loop
from willis.control.store import Store
from willis.control.uses import authority_users, certificate_users
from willis.model.collector import AuditCollector
from willis.model.status import Status

ROOT = Root("Drill")


class Collector:
    """Syslog over TLS."""

    def __init__(self, path: Path, clients: bool = False) -> None:
        issued = ROOT.issue("127.0.0.1")
        files = path / "collector.pem", path / "root.pem"
        files[0].write_bytes(issued.pem_with_key)
        files[1].write_bytes(pem(ROOT.certificate))
        self.trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.trust.load_cert_chain(files[0])
        if clients:
            self.trust.load_verify_locations(files[1])
            self.trust.verify_mode = ssl.CERT_REQUIRED
        self.heard: list[bytes] = []
        self.port = 0
        self.server: asyncio.Server | None = None

    async def open(self) -> None:
        self.server = await asyncio.start_server(self._talk, "127.0.0.1", self.port, ssl=self.trust)
        self.port = self.server.sockets[0].getsockname()[1]

    def close(self) -> None:
        assert self.server is not None
        self.server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        content = await reader.read()
        while content:
            length, _, content = content.partition(b" ")
            self.heard.append(content[: int(length)])
            content = content[int(length) :]
        writer.close()


class Node:
    """A store with an audit trail, and its export."""

    def __init__(self, path: Path, collector: AuditCollector) -> None:
        self.store = Store(path / "willis.db")
        self.certificates = CertificateStore(path / "certificates")
        self.certificates.put_authority("drill", pem(ROOT.certificate))
        self.certificates.put("node", ROOT.issue("lb1").pem_with_key)
        self.audit = Audit(self.store)
        self.loop = Loop([], replace(site(dr()), audit=(collector,)), Status())
        self.export = AuditExport("lb1", self.loop, self.store.database, self.certificates)

    def note(self, count: int) -> None:
        for _ in range(count):
            self.audit.note("ann", "POST /drain", "where vna1", reason="disk")

    def restart(self) -> None:
        self.export.close()
        self.export = AuditExport("lb1", self.loop, self.store.database, self.certificates)
        self.export.start()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_TICK_S", "_SLOWEST_S"):
        monkeypatch.setattr(room, name, 0.02)
    monkeypatch.setattr(room, "_BATCH", 3)


def numbers(heard: list[bytes]) -> list[int]:
    return [json.loads(each.partition(b"] ")[2])["number"] for each in heard]


def test_nothing_is_lost_while_the_collector_is_away_or_we_are(tmp_path: Path) -> None:
    async def story() -> None:
        far = Collector(tmp_path)
        await far.open()
        node = Node(tmp_path, AuditCollector("127.0.0.1", far.port, authority="drill"))
        node.note(4)
        node.export.start()
        await until(lambda: len(far.heard) == 4)
        far.close()
        node.note(5)
        await until(lambda: any("5 entries" in c.what for c in node.export.conditions()))
        node.restart()
        await until(lambda: any(node.export.conditions()))
        await far.open()
        await until(lambda: len(set(numbers(far.heard))) == 9)
        await until(lambda: not any(node.export.conditions()))
        found = numbers(far.heard)
        assert found == sorted(found)
        (collector,) = node.loop.config.audit
        await until(lambda: node.export._position(collector) == 9)
        before = len(far.heard)
        node.restart()
        node.note(1)
        await until(lambda: 10 in numbers(far.heard))
        assert len(far.heard) == before + 1
        node.export.close()
        node.store.close()

    asyncio.run(story())


def test_a_collector_that_cannot_prove_itself_gets_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        far = Collector(tmp_path)
        await far.open()
        node = Node(tmp_path, AuditCollector("127.0.0.1", far.port))
        node.note(1)
        node.export.start()
        await until(lambda: any("certificate verify failed" in c.what for c in node.export.conditions()))
        assert not far.heard
        node.export.close()
        node.store.close()

    asyncio.run(story())


def test_a_collector_may_want_a_certificate(tmp_path: Path) -> None:
    async def story() -> None:
        far = Collector(tmp_path, clients=True)
        await far.open()
        plain = AuditCollector("127.0.0.1", far.port, authority="drill")
        node = Node(tmp_path, plain)
        node.note(1)
        node.export.start()
        await until(lambda: any(node.export.conditions()))
        assert not far.heard
        node.loop.config = replace(node.loop.config, audit=(replace(plain, certificate="node"),))
        assert certificate_users(node.loop.config, "node") == ["audit"]
        assert authority_users(node.loop.config, "drill") == ["audit"]
        await until(lambda: numbers(far.heard) == [1])
        node.export.close()
        node.store.close()

    asyncio.run(story())


def test_connections_are_made_in_another_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    monkeypatch.setattr(room, "deliver", lambda *_: threads.append(threading.get_ident()))

    async def story() -> None:
        node = Node(tmp_path, AuditCollector("127.0.0.1"))
        node.note(1)
        node.export.start()
        await until(lambda: threads)
        node.export.close()
        node.store.close()

    asyncio.run(story())
    assert threads[0] != threading.get_ident()
