"""API tokens: how programs come in. Shown once; only digests are kept."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from willis.control.database import Database
from willis.control.sessions import digest
from willis.control.users import read_grants, written_grants
from willis.model.identity import Grant, Network, Token

PREFIX = "willis_"
"""So that scanners for secrets that were published by mistake find them."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS token (
    name TEXT PRIMARY KEY, digest TEXT NOT NULL UNIQUE, grants TEXT NOT NULL, networks TEXT NOT NULL,
    created REAL NOT NULL, created_by TEXT NOT NULL, expires REAL NOT NULL, used REAL
);
"""
_KEPT_EVERY_S = 60.0


class TokenRefused(Exception):
    """This token does not open; the text says why, without repeating it."""


@dataclass(frozen=True, slots=True)
class TokenWish:
    """A token to be made."""

    name: str
    grants: tuple[Grant, ...]
    lasts_s: float
    networks: tuple[Network, ...] = ()


class Tokens:
    """Of one node. Used in the event loop's thread."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._db = database
        self._clock = clock
        database.has(_SCHEMA)

    def make(self, wish: TokenWish, by: str) -> str | None:
        """The token, which nobody sees again; None: one of that name is there."""
        if any(token.name == wish.name for token in self.all()):
            return None
        secret, now = PREFIX + secrets.token_urlsafe(32), self._clock()
        networks = json.dumps([str(network) for network in wish.networks])
        self._db.execute(
            "INSERT INTO token VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
            (
                wish.name,
                digest(secret),
                written_grants(wish.grants),
                networks,
                now,
                by,
                now + wish.lasts_s,
            ),
        )
        return secret

    def all(self) -> list[Token]:
        """By name; those that have expired too."""
        return self._select("ORDER BY name")

    def remove(self, name: str) -> bool:
        """Whether there was one."""
        return self._db.execute("DELETE FROM token WHERE name = ?", (name,)).rowcount > 0

    def use(self, secret: str, source: str) -> Token:
        """What this token may. ``source``: the client's address. Raises TokenRefused."""
        name, now = digest(secret), self._clock()
        token = next(iter(self._select("WHERE digest = ?", name)), None)
        if token is None:
            raise TokenRefused("there is no such token; it was removed, or mistyped")
        if now >= token.expires:
            raise TokenRefused(f"token {token.name} has expired; make a new one")
        if token.networks and not _within(source, token.networks):
            raise TokenRefused(f"token {token.name} may not be used from {source}")
        self._db.execute(
            "UPDATE token SET used = ? WHERE digest = ? AND coalesce(used, 0) <= ?",
            (now, name, now - _KEPT_EVERY_S),
        )
        return token

    def _select(self, where: str, *values: object) -> list[Token]:
        columns = "name, grants, networks, created, created_by, expires, used"
        rows = self._db.execute(f"SELECT {columns} FROM token {where}", values).fetchall()  # noqa: S608
        return [
            Token(name, read_grants(grants), tuple(map(ip_network, json.loads(networks))), *rest)
            for name, grants, networks, *rest in rows
        ]


def _within(source: str, networks: tuple[Network, ...]) -> bool:
    """Whoever comes from no address at all comes from none of these."""
    try:
        address = ip_address(source)
    except ValueError:
        return False
    return any(address in network for network in networks)
