"""Telling all who follow, until it is over."""

from __future__ import annotations

import asyncio

from willis.control import broadcast as module
from willis.control.broadcast import Broadcast, Follower


async def _all(follower: Follower[int]) -> list[int]:
    async with asyncio.timeout(20):
        return [told async for told in follower]


def test_all_hear_all_until_it_is_over() -> None:
    async def story() -> None:
        news: Broadcast[int] = Broadcast()
        with news.follower() as one, news.follower() as other:
            news.tell(1)
            waiting = [asyncio.create_task(_all(each)) for each in (one, other)]
            await asyncio.sleep(0)
            news.tell(2)
            await asyncio.sleep(0)
            news.tell(3)
            news.close()
            assert await asyncio.gather(*waiting) == [[1, 2, 3]] * 2
        with news.follower() as late:
            assert await _all(late) == []

    asyncio.run(story())


def test_who_is_slow_loses_the_oldest() -> None:
    async def story() -> None:
        news: Broadcast[int] = Broadcast()
        with news.follower() as slow:
            for n in range(module._WAITING + 5):
                news.tell(n)
            assert list(slow.waiting()) == list(range(5, module._WAITING + 5))
            assert list(slow.waiting()) == []

    asyncio.run(story())
