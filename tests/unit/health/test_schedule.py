"""The schedule in a real event loop, with looks of our own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address

from willis.health.schedule import Schedule
from willis.model.check import Check, Target
from willis.model.status import Verdict
from willis.plan.verdict import Result

FAST = Check(interval_s=0.01)
GOOD = Result(0.0, Verdict.UP, "accepts connections")


def targets(count: int) -> list[Target]:
    return [Target(IPv4Address("10.60.0.0") + n, 104) for n in range(count)]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.005)


def scheduled(
    body: Callable[[Schedule, Counter[Target]], Awaitable[None]],
    look: Callable[[Target, Check], Awaitable[Result]] | None = None,
    most: int = 200,
) -> None:
    """Run ``body`` with a schedule and the count of its results."""

    async def at_once(target: Target, check: Check) -> Result:
        return GOOD

    async def run() -> None:
        results: Counter[Target] = Counter()
        schedule = Schedule(lambda target, _: results.update([target]), look=look or at_once, most=most)
        try:
            await body(schedule, results)
        finally:
            schedule.close()

    asyncio.run(run())


def test_every_target_is_looked_at_again_and_again() -> None:
    async def body(schedule: Schedule, results: Counter[Target]) -> None:
        schedule.set(dict.fromkeys(targets(20), FAST))
        await until(lambda: len(results) == 20 and min(results.values()) >= 5)

    scheduled(body)


def test_targets_are_added_and_removed_while_it_runs() -> None:
    async def body(schedule: Schedule, results: Counter[Target]) -> None:
        first, second = targets(2)
        schedule.set({first: FAST})
        await until(lambda: results[first] > 2)
        schedule.set({second: FAST})
        before = results[first]
        await until(lambda: results[second] > 5)
        assert results[first] == before

    scheduled(body)


def test_no_more_looks_at_once_than_allowed_and_none_is_left_out() -> None:
    running, peak = set[Target](), 0

    async def slow(target: Target, check: Check) -> Result:
        nonlocal peak
        assert target not in running
        running.add(target)
        peak = max(peak, len(running))
        await asyncio.sleep(0.002)
        running.remove(target)
        return GOOD

    async def body(schedule: Schedule, results: Counter[Target]) -> None:
        schedule.set(dict.fromkeys(targets(50), FAST))
        await until(lambda: len(results) == 50 and min(results.values()) >= 2)
        assert peak == 7

    scheduled(body, slow, most=7)


def test_a_hanging_look_delays_only_itself() -> None:
    hanging, *others = targets(10)

    async def look(target: Target, check: Check) -> Result:
        if target == hanging:
            await asyncio.Event().wait()
        return GOOD

    async def body(schedule: Schedule, results: Counter[Target]) -> None:
        schedule.set(dict.fromkeys([hanging, *others], FAST))
        await until(lambda: len(results) == 9 and min(results.values()) >= 5)

    scheduled(body, look)
