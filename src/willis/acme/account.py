"""The account at the authority: its key, and what binds it to a contract (EAB), as files of this node.

Both are secrets. They are kept apart from the site document in files of mode 0600, and
nothing here gives them out but to the client that signs with them.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.b64 import b64encode
from josepy.jwk import JWKEC

_KID = re.compile(r"\A[\x21-\x7e]{1,200}\Z")
_LEAST_KEY = 16
"""Bytes of an HMAC key below which it was surely cut off while copying."""


class AccountError(Exception):
    """The account's files cannot be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Binding:
    """External account binding (RFC 8555, 7.3.4), as the authority gave it."""

    kid: str
    hmac_key: str
    """base64url."""

    def __repr__(self) -> str:
        return f"Binding(kid={self.kid!r})"


class Account:
    """One node's account. May be used from several threads."""

    def __init__(self, directory: Path) -> None:
        self._key_file = directory / "account.key"
        self._binding_file = directory / "eab.json"
        self._key: JWKEC | None = None
        self._lock = threading.Lock()

    def key(self) -> JWKEC:
        """The account's key, made on first use. Raises AccountError."""
        with self._lock:
            return self._read_key()

    def _read_key(self) -> JWKEC:
        if self._key is None:
            if not self._key_file.exists():
                keep(self._key_file, new_key())
            try:
                found = serialization.load_pem_private_key(self._key_file.read_bytes(), password=None)
            except (OSError, ValueError) as error:
                raise AccountError(
                    f"{self._key_file} cannot be read ({error}); restore it, or remove it to begin anew"
                ) from error
            self._key = JWKEC(key=found)
        return self._key

    def thumbprint(self) -> str:
        """What proves that an answer to HTTP-01 is this account's (RFC 8555, 8.1). Raises AccountError."""
        return b64encode(self.key().thumbprint()).decode()

    def binding(self) -> Binding | None:
        """What the authority gave; None: nothing was kept. Raises AccountError."""
        try:
            kept = json.loads(self._binding_file.read_text())
            return Binding(str(kept["kid"]), str(kept["hmac_key"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise AccountError(
                f"{self._binding_file} cannot be read; give the key again: willis acme account --eab-kid KID "
                "--eab-key-file FILE"
            ) from error

    def bind(self, kid: str, hmac_key: str) -> None:
        """Keep what the authority gave. Raises AccountError."""
        kid, hmac_key = kid.strip(), hmac_key.strip().rstrip("=").replace("+", "-").replace("/", "_")
        if not _KID.match(kid):
            raise AccountError("the key id must be 1 to 200 printable characters without spaces")
        try:
            secret = base64.b64decode(hmac_key + "=" * (-len(hmac_key) % 4), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            secret = b""
        if len(secret) < _LEAST_KEY:
            raise AccountError(
                f"the HMAC key must be base64url of {_LEAST_KEY} bytes or more; copy all of it and no more"
            )
        keep(self._binding_file, json.dumps({"kid": kid, "hmac_key": hmac_key}).encode())


def new_key() -> bytes:
    """A new EC P-256 key, PEM (PKCS #8)."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def keep(path: Path, content: bytes) -> None:
    """Write whole or not at all, for the owner only. Raises AccountError."""
    new = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise AccountError(f"{path} cannot be written: {error.strerror}; look at the disk") from error
