"""The audit trail: who did what, when, from where, why, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that somebody did or tried. It holds no secret and no document."""

    at: float
    """Seconds since the epoch."""
    who: str
    """Who asked: at the console the user, as the kernel knows it; ``token:NAME``; ``nobody``; or ``willis``
    for what happened by itself."""
    author: str
    """Who a user at the console said to act for; empty: for themselves."""
    source: str
    """Where it came from: the client's address, ``socket``, or ``itself``."""
    action: str
    """Method and route, such as ``POST /drain``."""
    about: str
    """What it was about: a host, a revision, a certificate."""
    reason: str
    before: str
    """Digest of the running document before; empty: none."""
    after: str
    result: str
    """``done``, or why not."""
    request_id: str = ""
    """The name that the answer carries; empty: nobody asked, or the entry is older than such names."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An act in the chain."""

    number: int
    act: Act
    chain: str
    """SHA-256 over this act and the chain before it, hexadecimal."""
