"""Passwords at rest: argon2id (RFC 9106); a guess costs 64 MiB and a fifth of a second.

It costs us the same: it runs in two threads of low priority, so that checks and traffic go first,
and a crowd that waits for them is sent away.
"""

from __future__ import annotations

import asyncio
import os
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

_AT_ONCE = 2
_NICENESS = 5
"""Of a thread, on Linux: sched(7)."""
_MOST = 16
"""Looked at or waiting."""
_NOBODYS = "$argon2id$v=19$m=65536,t=3,p=1$gAPNdNhOVO9K6NrY9m/TKg$6enuXfDrAVGyIVw93WeKt0BsJhPeTtnOI6Zs+LjKe10"
"""Of a password that was thrown away: a name that nobody has takes as long as one that somebody has."""

_T = TypeVar("_T")


class Busy(Exception):
    """Too many passwords wait to be looked at."""


class Passwords:
    """Used in the event loop's thread."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1)
        self._threads = ThreadPoolExecutor(_AT_ONCE, "password", os.nice, (_NICENESS,))
        self._here = 0

    async def hash(self, password: str) -> str:
        """What is kept of ``password``. Raises Busy."""
        return await self._run(self._hasher.hash, _bytes(password))

    async def fits(self, kept: str | None, password: str) -> bool:
        """Whether ``kept`` was made of ``password``; None takes as long, and never was. Raises Busy."""
        return await self._run(self._verify, kept or _NOBODYS, _bytes(password)) and kept is not None

    def _verify(self, kept: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except VerifyMismatchError:
            return False

    async def _run(self, what: Callable[..., _T], *given: str | bytes) -> _T:
        if self._here >= _MOST:
            raise Busy("many people sign in at once; try again in a moment")
        self._here += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, what, *given)
        finally:
            self._here -= 1


def _bytes(password: str) -> bytes:
    """The same whatever keyboard wrote it (NIST SP 800-63B, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password).encode()
