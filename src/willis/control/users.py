"""The users whom the node knows by itself, with what is kept of their passwords and second factors."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable

import pyotp

from willis.control.database import Database
from willis.model.identity import Grant, Role, User

Statement = tuple[str, tuple[object, ...]]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS user (
    name TEXT PRIMARY KEY, hash TEXT NOT NULL, grants TEXT NOT NULL, changed REAL NOT NULL,
    totp TEXT, totp_step INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS recovery_code (
    user TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (user, digest)
);
"""
_RECOVERY_CODES = 10
_STEP_S = 30
_DRIFT = 1
"""Steps that a clock may be off, either way (RFC 6238, 5.2)."""


class Users:
    """Of one node. Used in the event loop's thread."""

    def __init__(self, database: Database) -> None:
        self._db = database
        database.has(_SCHEMA)

    def all(self) -> list[User]:
        """By name."""
        rows = self._db.execute("SELECT name, grants, totp, changed FROM user ORDER BY name").fetchall()
        return [User(name, read_grants(grants), totp is not None, at) for name, grants, totp, at in rows]

    def get(self, name: str) -> User | None:
        return next((user for user in self.all() if user.name == name), None)

    def password(self, name: str) -> str | None:
        """What is kept of it; None: there is no such user."""
        row = self._db.execute("SELECT hash FROM user WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set(self, name: str, hashed: str, grants: Iterable[Grant], now: float, *also: Statement) -> None:
        """Make or change a user, in one transaction with ``also``."""
        self._db.transaction(
            (
                "INSERT INTO user (name, hash, grants, changed) VALUES (?, ?, ?, ?) ON CONFLICT (name) "
                "DO UPDATE SET hash = excluded.hash, grants = excluded.grants, changed = excluded.changed",
                (name, hashed, written_grants(grants), now),
            ),
            *also,
        )

    def remove(self, name: str, *also: Statement) -> None:
        """Forget a user and all that is theirs, in one transaction with ``also``."""
        self._db.transaction(
            ("DELETE FROM user WHERE name = ?", (name,)),
            ("DELETE FROM recovery_code WHERE user = ?", (name,)),
            *also,
        )

    def second_factor(self, name: str) -> str | None:
        """The secret of the user's TOTP app."""
        row = self._db.execute("SELECT totp FROM user WHERE name = ?", (name,)).fetchone()
        return None if row is None or row[0] is None else str(row[0])

    def set_second_factor(self, name: str, secret: str, step: int) -> tuple[str, ...]:
        """``step`` has been used. Returns the recovery codes, which nobody sees again."""
        codes = tuple(_recovery_code() for _ in range(_RECOVERY_CODES))
        self._db.transaction(
            ("UPDATE user SET totp = ?, totp_step = ? WHERE name = ?", (secret, step, name)),
            ("DELETE FROM recovery_code WHERE user = ?", (name,)),
            *(("INSERT INTO recovery_code VALUES (?, ?)", (name, _digest(code))) for code in codes),
        )
        return codes

    def drop_second_factor(self, name: str, *also: Statement) -> None:
        """Until another is set, the password is enough."""
        self._db.transaction(
            ("UPDATE user SET totp = NULL, totp_step = 0 WHERE name = ?", (name,)),
            ("DELETE FROM recovery_code WHERE user = ?", (name,)),
            *also,
        )

    def takes_code(self, name: str, code: str, now: float) -> bool:
        """Whether ``code`` is the user's now, of the app or for recovery; it never is again."""
        secret = self.second_factor(name)
        if secret is None:
            return False
        step = step_of(secret, code, now)
        if step is not None:
            return self._changed(
                "UPDATE user SET totp_step = ? WHERE name = ? AND totp_step < ?", (step, name, step)
            )
        return self._changed("DELETE FROM recovery_code WHERE user = ? AND digest = ?", (name, _digest(code)))

    def _changed(self, sql: str, values: tuple[object, ...]) -> bool:
        return self._db.execute(sql, values).rowcount > 0


def step_of(secret: str, code: str, now: float) -> int | None:
    """The time step whose code ``code`` is (RFC 6238), at most one off; None: of none."""
    totp = pyotp.TOTP(secret)
    current = int(now) // _STEP_S
    near = range(current + _DRIFT, current - _DRIFT - 1, -1)
    return next((s for s in near if secrets.compare_digest(totp.generate_otp(s), _plain(code))), None)


def written_grants(grants: Iterable[Grant]) -> str:
    return json.dumps([[grant.role.value, list(grant.services)] for grant in grants])


def read_grants(kept: str) -> tuple[Grant, ...]:
    return tuple(Grant(Role(role), tuple(services)) for role, services in json.loads(kept))


def _recovery_code() -> str:
    """80 bits, in groups that can be typed from paper."""
    text = pyotp.random_base32(32)[:16].lower()
    return "-".join(text[i : i + 4] for i in range(0, 16, 4))


def _plain(code: str) -> str:
    """As it was given out, however it was typed; ASCII, since only that can be compared."""
    kept = "".join(c for c in code.lower() if c.isalnum())
    return kept if kept.isascii() else ""


def _digest(code: str) -> str:
    return hashlib.sha256(_plain(code).encode()).hexdigest()
