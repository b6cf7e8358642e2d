"""The one-time code by which the first administrator proves to own the node.

It is in the engine's log and in a file of the state directory, waits for as long as it takes,
and is gone once there is a user. No password comes with Willis.
"""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

import pyotp

from willis.control.database import StoreError

log = logging.getLogger("willis.identity")

_GROUPS, _LETTERS = 4, 5


class SetupCode:
    """In one file, for its owner only."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def there(self) -> str | None:
        """Raises StoreError."""
        try:
            return self._path.read_text(encoding="ascii").strip() or None
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(
                f"cannot read {self._path}: {error}; 'willis setup-code' makes another"
            ) from error

    def renew(self) -> str:
        """Another one; those before count no more. Raises StoreError."""
        letters = pyotp.random_base32(32)[: _GROUPS * _LETTERS].lower()
        code = "-".join(letters[i : i + _LETTERS] for i in range(0, len(letters), _LETTERS))
        new = self._path.with_suffix(".new")
        try:
            new.unlink(missing_ok=True)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(code + "\n")
            new.replace(self._path)
        except OSError as error:
            raise StoreError(f"cannot write {self._path}: {error}; check free space and rights") from error
        return code

    def fits(self, code: str) -> bool:
        """Whether it is the one; case and dashes do not matter. Raises StoreError."""
        right = self.there()
        return right is not None and secrets.compare_digest(_plain(right), _plain(code))

    def forget(self) -> None:
        self._path.unlink(missing_ok=True)

    def announce(self, code: str) -> None:
        """For whoever reads the engine's log."""
        log.warning("nobody is known here yet; the first administrator signs up with the code %s", code)


def _plain(code: str) -> bytes:
    return "".join(c for c in code.lower() if c.isalnum()).encode()
