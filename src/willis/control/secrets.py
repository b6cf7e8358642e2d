"""Passwords and tokens that the document only names, sealed in files of the node.

Each secret is a file of its own under AES-256-GCM, bound to its name; the key lies beside them
and is made with the first secret. Both are for the engine's user only. The seal keeps a single
file that got away (a copied folder, a support archive) from saying anything; whoever has the
whole state directory has the secrets too.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from willis.control.changes import Refused
from willis.control.loop import Loop
from willis.control.uses import secret_names, secret_users
from willis.model.config import Config
from willis.model.service import NAME

LONGEST = 4096
"""Characters of a secret."""

_NONCE = 12
_KEY, _SEALED = "node.key", ".sealed"

Row = dict[str, object]


class SecretError(Exception):
    """A secret cannot be read or kept; the text says why and what to do, and nothing of the secret."""


class Secrets:
    """The sealed store. May be used from several threads. Every method raises SecretError."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """What is stored, sorted."""
        return sorted(path.name.removesuffix(_SEALED) for path in self._directory.glob(f"[!.]*{_SEALED}"))

    def stored_at(self, name: str) -> datetime:
        """When it was put (UTC)."""
        try:
            return datetime.fromtimestamp(self._path(name).stat().st_mtime, UTC)
        except OSError:
            raise _unknown(name) from None

    def get(self, name: str) -> str:
        """The secret itself: for whoever sends it on, never to be shown or logged."""
        path = self._path(name)
        try:
            sealed = path.read_bytes()
            key = (self._directory / _KEY).read_bytes()
            return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], name.encode()).decode()
        except FileNotFoundError:
            raise _unknown(name) from None
        except OSError as error:
            raise SecretError(f"secret {name} cannot be read: {error.strerror}; check {path}") from error
        except (InvalidTag, ValueError):
            raise SecretError(
                f"secret {name} does not open with this node's key: a file was changed or replaced; "
                f"store it again with 'willis secret set {name}'"
            ) from None

    def put(self, name: str, value: str) -> None:
        """Store or replace one: the old or the new, whole."""
        path = self._path(name)
        if not 1 <= len(value) <= LONGEST or not value.isprintable():
            raise SecretError(f"a secret has 1 to {LONGEST} printable characters, on one line")
        with self._lock:
            try:
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                nonce = secrets.token_bytes(_NONCE)
                _replace(path, nonce + AESGCM(self._key()).encrypt(nonce, value.encode(), name.encode()))
            except (OSError, ValueError) as error:
                raise SecretError(
                    f"secret {name} was not stored: {error}; what was there stays. Check {self._directory}"
                ) from error

    def remove(self, name: str) -> None:
        """Forget one."""
        path = self._path(name)
        try:
            path.unlink()
        except FileNotFoundError:
            raise _unknown(name) from None
        except OSError as error:
            raise SecretError(f"secret {name} was not removed: {error.strerror}; check {path}") from error

    def _key(self) -> bytes:
        path = self._directory / _KEY
        if not path.exists():
            if self.names():
                raise ValueError(f"{path} is missing, without which no stored secret opens")
            _replace(path, AESGCM.generate_key(256))
        return path.read_bytes()

    def _path(self, name: str) -> Path:
        if not NAME.match(name):
            raise SecretError("a secret's name has 1 to 63 letters, digits, '.', '_' or '-'")
        return self._directory / f"{name}{_SEALED}"


class Keeping:
    """Secrets as people manage them: names and users, no values. Raises Refused with reason and remedy."""

    def __init__(self, secrets: Secrets, loop: Loop) -> None:
        self._secrets = secrets
        self._loop = loop

    def rows(self) -> Row:
        """All that are stored, and those that the document names in vain."""
        stored = self._secrets.names()
        missing = sorted(secret_names(self._loop.config) - set(stored))
        return {
            "secrets": [self._row(name) for name in stored],
            "missing": [{"name": name, "used_by": self._users(name)} for name in missing],
        }

    def put(self, name: str, value: str) -> Row:
        try:
            self._secrets.put(name, value)
        except SecretError as error:
            raise Refused(str(error)) from error
        return self._row(name)

    def remove(self, name: str) -> Row:
        users = self._users(name)
        if users:
            raise Refused(f"secret {name} is used by {', '.join(users)}; take it out of the document first")
        try:
            self._secrets.remove(name)
        except SecretError as error:
            raise Refused(str(error)) from error
        return {"removed": name}

    def lacking(self, config: Config) -> Iterator[str]:
        """What keeps ``config`` from working: secrets that it names and nobody stored."""
        for name in sorted(secret_names(config) - set(self._secrets.names())):
            users = ", ".join(secret_users(config, name))
            yield f"{users} names the secret {name}, which is not stored; first: willis secret set {name}"

    def _users(self, name: str) -> list[str]:
        return secret_users(self._loop.config, name)

    def _row(self, name: str) -> Row:
        try:
            at = self._secrets.stored_at(name).isoformat(timespec="seconds")
        except SecretError as error:
            raise Refused(str(error)) from error
        return {"name": name, "stored_at": at, "used_by": self._users(name)}


def _unknown(name: str) -> SecretError:
    return SecretError(f"there is no secret {name}; see 'willis secret list'")


def _replace(path: Path, content: bytes) -> None:
    """Whole or not at all, kept over a power cut, for its owner only. Raises OSError."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
