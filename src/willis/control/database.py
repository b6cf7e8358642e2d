"""The one SQLite file of an engine; whoever keeps something has tables of their own in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StoreError(Exception):
    """The store cannot be read or written; the text names the file and the remedy."""


class Database:
    """The file; one connection, used from one thread. Every statement outside a transaction is its own."""

    def __init__(self, path: Path) -> None:
        """Open or make it, for its owner only. Raises StoreError."""
        self.path = path
        try:
            path.touch(mode=0o600)
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"cannot use {path}: {error}; check its owner, rights and free space") from error

    def has(self, schema: str) -> None:
        """Make the tables that are not there yet (``CREATE ... IF NOT EXISTS``). Raises StoreError."""
        with self._failures():
            self._db.executescript(schema)

    def execute(self, sql: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        """Raises StoreError."""
        with self._failures():
            return self._db.execute(sql, values)

    def transaction(self, *statements: tuple[str, tuple[object, ...]]) -> None:
        """All of them or none. Raises StoreError."""
        self.execute("BEGIN IMMEDIATE")
        try:
            for sql, values in statements:
                self.execute(sql, values)
            self.execute("COMMIT")
        except StoreError:
            self._db.rollback()
            raise

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"cannot use {self.path}: {error}; check free space and rights") from error
