"""Tells what happens to all who follow; a slow follower loses the oldest, and holds nobody up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, Self, TypeVar

T = TypeVar("T")

_WAITING = 1_000
"""What a follower may be behind."""


class Follower(Generic[T]):
    """Iterates over all that is told, waiting for more until it is over."""

    def __init__(self) -> None:
        self._told: deque[T] = deque(maxlen=_WAITING)
        self._news = asyncio.Event()
        self._over = False

    def tell(self, what: T) -> None:
        self._told.append(what)
        self._news.set()

    def end(self) -> None:
        """Nothing comes after what was told."""
        self._over = True
        self._news.set()

    def waiting(self) -> Iterator[T]:
        """What was told and is not taken yet."""
        while self._told:
            yield self._told.popleft()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._told:
            if self._over:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._told.popleft()


class Broadcast(Generic[T]):
    """Used in the event loop's thread."""

    def __init__(self) -> None:
        self._followers: set[Follower[T]] = set()
        self._over = False

    def tell(self, what: T) -> None:
        for follower in self._followers:
            follower.tell(what)

    def close(self) -> None:
        """It is over for all who follow, and for whoever comes later."""
        self._over = True
        for follower in self._followers:
            follower.end()

    @contextmanager
    def follower(self) -> Iterator[Follower[T]]:
        """All that is told from now on."""
        follower: Follower[T] = Follower()
        if self._over:
            follower.end()
        self._followers.add(follower)
        try:
            yield follower
        finally:
            self._followers.discard(follower)
