"""Tells what happens to all who follow; a slow follower loses the oldest, and holds nobody up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")

_WAITING = 1_000
"""What a follower may be behind."""


class Broadcast(Generic[T]):
    """Used in the event loop's thread."""

    def __init__(self) -> None:
        self._followers: set[asyncio.Queue[T]] = set()

    def tell(self, what: T) -> None:
        for queue in self._followers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(what)

    @contextmanager
    def follower(self) -> Iterator[asyncio.Queue[T]]:
        """All that is told from now on."""
        queue: asyncio.Queue[T] = asyncio.Queue(_WAITING)
        self._followers.add(queue)
        try:
            yield queue
        finally:
            self._followers.discard(queue)
