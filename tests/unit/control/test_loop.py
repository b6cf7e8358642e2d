"""The loop, with engines that only remember."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from tests.builders import dr, seen, site
from willis.control.loop import _REPEAT_S, Loop
from willis.engines.addresses.compile import compile_vips
from willis.engines.memory import MemoryEngine
from willis.engines.port import EngineError
from willis.model.config import Config
from willis.plan.diff import Change


class Stubborn(MemoryEngine):
    """Refuses whatever mentions ``bad``."""

    bad: str | None = None

    def apply(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if self.bad and self.bad in change.key:
                raise EngineError(f"will not take {change.key}")
            super().apply([change])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def _loop(config: Config) -> tuple[Loop, Stubborn]:
    engine = Stubborn("memory", compile_vips)
    return Loop([engine], config, seen(config)), engine


def test_it_converges_and_heals_drift_by_itself() -> None:
    async def story() -> None:
        loop, engine = _loop(site(dr()))
        loop.start()
        await until(lambda: "vip/10.60.0.101" in engine.held)
        engine.held.clear()
        await until(lambda: "vip/10.60.0.101" in engine.held)
        await loop.close()

    asyncio.run(story())


def test_an_engine_is_settled_once_it_follows_what_is_known() -> None:
    async def story() -> None:
        config = site(dr())
        loop, _ = _loop(config)
        assert not loop.keepers[0].settled(config, loop.status)
        await loop.converge()
        assert loop.keepers[0].settled(config, loop.status)
        assert not loop.keepers[0].settled(site(dr(vip=102)), loop.status)
        loop.keepers[0].report(EngineError("gone"))
        assert not loop.keepers[0].settled(config, loop.status)
        await loop.close()

    asyncio.run(story())


@pytest.mark.parametrize("steps", range(5))
def test_it_ends_at_whatever_moment_it_was_woken(steps: int) -> None:
    async def story() -> None:
        loop, engine = _loop(site(dr()))
        loop.start()
        await until(lambda: "vip/10.60.0.101" in engine.held)
        loop.wake()
        for _ in range(steps):
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await loop.close()

    asyncio.run(story())


def test_a_config_that_an_engine_refuses_leaves_the_old_one() -> None:
    async def story() -> None:
        old = site(dr())
        loop, engine = _loop(old)
        engine.bad = "10.60.0.102"
        loop.start()
        await until(lambda: bool(engine.held))
        with pytest.raises(EngineError, match=r"will not take vip/10\.60\.0\.102"):
            await loop.adopt(site(dr(vip=102)))
        assert loop.config == old
        await until(lambda: set(engine.held) == {"vip/10.60.0.101"})
        await loop.close()

    asyncio.run(story())


def test_a_failing_pass_is_told_and_tried_again() -> None:
    async def story() -> None:
        loop, engine = _loop(site(dr()))
        engine.bad = "vip"
        loop.start()
        keeper = loop.keepers[0]
        await until(lambda: keeper.failed)
        assert "will not take" in keeper.sentence
        engine.bad = None
        await until(lambda: not keeper.failed and bool(engine.held))
        await loop.close()

    asyncio.run(story())


def test_the_first_news_acts_at_once_and_a_storm_of_it_in_few_passes() -> None:
    async def story() -> None:
        config = site(dr())
        loop, engine = _loop(config)
        passes: list[float] = []
        engine.refresh = lambda: passes.append(time.monotonic())  # type: ignore[method-assign]
        loop.start()
        await until(lambda: len(passes) == 1)
        loop.wake()
        await until(lambda: len(passes) == 2)
        began = time.monotonic()
        while time.monotonic() < began + 0.5:
            loop.wake()
            await asyncio.sleep(0.001)
        took = time.monotonic() - began
        assert 1 <= len(passes) - 2 <= took / 0.1 + 1, "each rests a tenth of a second"
        seen_last = len(passes)
        await until(lambda: len(passes) > seen_last)
        await loop.close()

    asyncio.run(story())


def test_while_a_change_is_made_no_engine_looks_for_drift_but_each_takes_news() -> None:
    """Else the outer engines would take the new document before the inner ones have it."""

    async def story() -> None:
        gate, order = threading.Event(), []

        class Slow(MemoryEngine):
            def apply(self, changes: Sequence[Change]) -> None:
                gate.wait(20)
                super().apply(changes)

        outer = MemoryEngine("outer", compile_vips)
        outer.refresh = lambda: order.append(len(inner.held))  # type: ignore[method-assign]
        inner = Slow("inner", compile_vips)
        config = site()
        loop = Loop([inner, outer], config, seen(config))
        loop.start()
        await until(lambda: len(order) == 1)
        change = asyncio.create_task(loop.adopt(site(dr())))
        await asyncio.sleep(3 * _REPEAT_S)
        assert order == [0], "two times in these seconds it would have looked"
        loop.keepers[1].wake.set()
        await until(lambda: len(order) == 2)
        gate.set()
        await change
        assert order[2:] == [1]
        await loop.close()

    asyncio.run(story())
