"""Orders that end by themselves or turn into a halt, over a clock and engines of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.builders import dr, seen, site, web
from willis.control import orders as room
from willis.control.changes import Refused
from willis.control.gains import Reading
from willis.control.loop import Loop
from willis.control.orders import Orders
from willis.control.store import Store
from willis.engines.addresses.compile import compile_vips
from willis.engines.memory import MemoryEngine
from willis.engines.port import Traffic
from willis.model.status import Admin, Place
from willis.plan.terms import Term


class Desk:
    """Orders whose time passes when the test says so."""

    def __init__(self, path: Path) -> None:
        config = site(dr(), web())
        self.now = 1000.0
        self.store = Store(path / "willis.db")
        self.loop = Loop([MemoryEngine("memory", compile_vips)], config, seen(config))
        self.told: list[tuple[str, str, str]] = []
        self.orders = Orders(self.loop, self.store, lambda *what: self.told.append(what), lambda: self.now)

    def admin(self) -> dict[Place, Admin]:
        return dict(self.loop.status.admin)

    def carries(self, host: str, active: int) -> None:
        self.loop.keepers[0].reading = Reading(0.0, {("DicomRouting", host): Traffic(active=active)})

    async def until(self, admin: dict[Place, Admin]) -> None:
        async with asyncio.timeout(20):
            while self.admin() != admin:
                await asyncio.sleep(0.01)


@pytest.fixture
def tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[Desk], Awaitable[None]]], None]:
    monkeypatch.setattr(room, "_TICK_S", 0.01)

    def run(story: Callable[[Desk], Awaitable[None]]) -> None:
        async def whole() -> None:
            desk = Desk(tmp_path)
            desk.orders.start()
            try:
                await story(desk)
            finally:
                desk.orders.close()
                await desk.loop.close()

        asyncio.run(whole())

    return run


Tell = Callable[[Callable[[Desk], Awaitable[None]]], None]
VNA1 = Place("vna1")


def test_a_drain_ends_by_itself_also_after_a_restart(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        desk.orders.give("vna1", Admin.DRAIN, term=Term(until=1060.0))
        assert Orders(desk.loop, desk.store, print).terms == {VNA1: Term(until=1060.0)}
        await asyncio.sleep(0.1)
        assert desk.admin() == {VNA1: Admin.DRAIN}
        desk.now = 1060.0
        await desk.until({})
        assert desk.orders.terms == desk.store.terms() == {}
        assert desk.told == [("online", "vna1", "its time is over")]

    tell(story)


def test_a_drain_turns_into_a_halt_once_nothing_runs_and_still_ends(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        desk.carries("vna1", 1)
        desk.orders.give("vna1", Admin.DRAIN, term=Term(until=9000.0, halt_when_idle=True))
        desk.now = 2000.0
        await asyncio.sleep(0.1)
        assert desk.admin() == {VNA1: Admin.DRAIN}
        desk.carries("vna1", 0)
        await asyncio.sleep(0.1)
        assert desk.admin() == {VNA1: Admin.DRAIN}, "idle for a moment only"
        desk.now = 2010.0
        await desk.until({VNA1: Admin.HALT})
        desk.now = 9000.0
        await desk.until({})

    tell(story)


def test_another_order_ends_the_term_of_the_first(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        desk.orders.give("DicomRouting/vna1", Admin.DRAIN, term=Term(until=1060.0))
        desk.orders.give("vna1", Admin.HALT, force=True)
        desk.now = 2000.0
        await asyncio.sleep(0.1)
        assert desk.admin() == {VNA1: Admin.HALT}
        assert desk.store.terms() == {}

    tell(story)


def test_the_part_of_a_host_comes_back_though_the_host_is_drained(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        desk.orders.give("vna1", Admin.DRAIN)
        desk.orders.give("DicomRouting/vna1", Admin.HALT, term=Term(until=1060.0))
        desk.now = 1060.0
        await desk.until({VNA1: Admin.DRAIN})

    tell(story)


def test_a_time_that_says_nothing_is_refused(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        with pytest.raises(Refused, match="online has no end"):
            desk.orders.give("vna1", Admin.ONLINE, term=Term(until=1060.0))
        with pytest.raises(Refused, match="no connections to wait for"):
            desk.orders.give("vna1", Admin.HALT, term=Term(halt_when_idle=True))

    tell(story)
