"""Layer 7: what servers refuse to modalities makes them busy, and lets them be again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.builders import seen
from tests.lab.proxy import PORT, Proxy, address, local_site, service
from willis.control import refusals as room
from willis.control.loop import Loop
from willis.control.refusals import Refusing
from willis.control.report import Rows, sentence
from willis.engines.haproxy.state import ServerState, key
from willis.lab import data
from willis.model.config import Config
from willis.model.service import Application, RealServer
from willis.model.status import Verdict
from willis.plan.members import members

pynetdicom = pytest.importorskip("pynetdicom")
pydicom = pytest.importorskip("pydicom")
pytestmark = pytest.mark.lab

_SCP_PORT = PORT + 40
_MR = "1.2.840.10008.5.1.4.1.1.4"
_SYNTAX = ["1.2.840.10008.1.2.1"]
_HOLD_S = 3.0
"""Seconds; a minute in use."""


class Archive:
    """A pynetdicom SCP at vnaN whose disk may be full and whose places may be taken."""

    def __init__(self, number: int, *, status: int = 0, places: int = 10) -> None:
        self.status = status
        ae = pynetdicom.AE("ANY")
        ae.maximum_associations = places
        ae.add_supported_context(_MR, _SYNTAX)
        handlers: list[Any] = [(pynetdicom.evt.EVT_C_STORE, lambda _: self.status)]
        at = (str(address(number)), _SCP_PORT)
        self._server = ae.start_server(at, block=False, evt_handlers=handlers)

    def close(self) -> None:
        self._server.shutdown()


def modality() -> Any:
    """An association, open if the server took it."""
    ae = pynetdicom.AE("MR1")
    ae.add_requested_context(_MR, _SYNTAX)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
    return ae.associate(str(address(101)), PORT, ae_title="PACS")


def store(times: int) -> list[int]:
    """The statuses that a modality gets."""
    image = pydicom.dcmread(next(iter(data.mr())))
    association = modality()
    try:
        return [association.send_c_store(image).Status for _ in range(times)]
    finally:
        association.release()


def site() -> Config:
    pool = tuple(RealServer(f"vna{n}", address(n), _SCP_PORT) for n in (1, 2))
    plain = service(application=Application.DICOM, persistence=None)
    # Nobody comes to vna2, so that all that is refused is refused by vna1.
    return local_site(replace(plain, name="Dicom", pool=(pool[0], replace(pool[1], weight=0))))


class Room:
    """The engine under the loop, and who asks it what was refused."""

    def __init__(self, proxy: Proxy) -> None:
        config = site()
        self.engine = proxy.engine
        self.loop = Loop([proxy.engine], config, seen(config))
        self.refusing = Refusing(self.loop, hold_s=_HOLD_S)

    def verdict(self) -> Verdict:
        return self._member().health.verdict

    def said(self) -> str:
        """What explain says."""
        return sentence(self.loop.config.services[0], self._member())

    def row(self) -> Any:
        """The server in status."""
        return Rows().of(self.loop.config.services[0], self.loop.status, {}, {}, {})["servers"][0]  # type: ignore[index]

    def weight(self) -> int:
        """What HAProxy gives it."""
        held = self.engine.observe()[key("Dicom", "vna1")]
        assert isinstance(held, ServerState)
        return held.weight

    def _member(self) -> Any:
        return members(self.loop.config.services[0], self.loop.status)[0]

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not await self.loop.keepers[0].call(holds):
                await asyncio.sleep(0.05)


@pytest.fixture
def archive() -> Iterator[Callable[..., Archive]]:
    made: list[Archive] = []

    def make(**changes: int) -> Archive:
        made.append(Archive(1, **changes))
        return made[-1]

    yield make
    for one in made:
        one.close()


def told(proxy: Proxy, story: Callable[[Room], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_EVERY_S", 0.2)

    async def whole() -> None:
        found = Room(proxy)
        await found.loop.converge()
        found.loop.start()
        found.refusing.start()
        try:
            await story(found)
        finally:
            found.refusing.close()
            await found.loop.close()

    asyncio.run(whole())


def test_a_full_archive_is_busy_until_it_takes_objects_again(
    proxy: Proxy, archive: Callable[..., Archive], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = archive(status=0xA700)

    async def story(found: Room) -> None:
        worker = await found.loop.keepers[0].call(proxy.worker)
        assert await asyncio.to_thread(store, 3) == [0xA700] * 3
        await found.until(lambda: found.verdict() is Verdict.BUSY and found.weight() == 50)
        sentence = "busy: answered 3 C-STORE with A700 (out of resources) in the last minute"
        await found.until(lambda: sentence in found.said())
        assert (found.row()["verdict"], found.row()["standing"]) == ("busy", "open")
        full.status = 0
        assert await asyncio.to_thread(store, 1) == [0], "it still gets what clients send"
        await found.until(lambda: found.verdict() is Verdict.UP and found.weight() == 100)
        assert await found.loop.keepers[0].call(proxy.worker) == worker, "nothing was reloaded"

    told(proxy, story, monkeypatch)


def test_a_server_without_places_is_busy(
    proxy: Proxy, archive: Callable[..., Archive], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive(places=1)

    async def story(found: Room) -> None:
        held = await asyncio.to_thread(modality)
        assert held.is_established
        second = await asyncio.to_thread(modality)
        assert second.is_rejected
        await found.until(lambda: found.verdict() is Verdict.BUSY)
        assert "rejected 1 association (local limit exceeded) in the last minute" in found.said()
        assert held.is_established, "nothing is cut"
        await asyncio.to_thread(held.release)
        await found.until(lambda: found.verdict() is Verdict.UP)

    told(proxy, story, monkeypatch)
