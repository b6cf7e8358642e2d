"""What closes a backup: a passphrase, or the public key of a recipient whose identity opens it.

Under a passphrase the content is sealed with AES-256-GCM by a key of scrypt (RFC 7914): a stolen
backup is as good as its passphrase. For a recipient it is sealed by HPKE (RFC 9180: X25519,
HKDF-SHA256, AES-256-GCM), and the node that made it cannot open it. Whoever knows a recipient can
make such a file too: it is secret, but does not prove where it comes from.

Keys are as OpenSSL writes them (RFC 8410): the identity is PEM of PKCS #8, the recipient PEM of a
public key, or the one line of base64 that is in it.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

SHORTEST = 12
"""Characters of a passphrase."""

_UNDER_PASSPHRASE = b"WILLIS-BACKUP-1\n"
_FOR_RECIPIENT = b"WILLIS-BACKUP-R\n"
_SALT, _NONCE, _KEY = 16, 12, 32
_PEM = "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n"
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_OTHERWISE = {
    _UNDER_PASSPHRASE: "this backup is under a passphrase, not for a recipient: leave --identity away",
    _FOR_RECIPIENT: "this backup is for a recipient, not under a passphrase: give --identity FILE",
}


class BackupError(Exception):
    """It cannot be made, read or put back; the text says why and what to do. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Passphrase:
    """Closes and opens."""

    text: str = field(repr=False)

    def seal(self, content: bytes) -> bytes:
        """Raises BackupError if it is too short."""
        if len(self.text) < SHORTEST:
            raise BackupError(f"the passphrase has fewer than {SHORTEST} characters; use a sentence")
        salt, nonce = secrets.token_bytes(_SALT), secrets.token_bytes(_NONCE)
        head = _UNDER_PASSPHRASE + salt + nonce
        return head + AESGCM(_key(self.text, salt)).encrypt(nonce, content, head)

    @staticmethod
    def check(backup: bytes) -> None:
        """Raises BackupError, with what to do, unless a passphrase opens such a backup."""
        _check(backup, _UNDER_PASSPHRASE, _SALT + _NONCE)

    def open(self, backup: bytes) -> bytes:
        """Raises BackupError."""
        self.check(backup)
        size = len(_UNDER_PASSPHRASE) + _SALT + _NONCE
        head, sealed = backup[:size], backup[size:]
        salt, nonce = head[len(_UNDER_PASSPHRASE) : -_NONCE], head[-_NONCE:]
        try:
            return AESGCM(_key(self.text, salt)).decrypt(nonce, sealed, head)
        except InvalidTag:
            raise BackupError("the passphrase is wrong, or the backup was changed or cut short") from None


@dataclass(frozen=True, slots=True)
class Recipient:
    """Closes only."""

    key: X25519PublicKey

    @classmethod
    def read(cls, text: str) -> Recipient:
        """From PEM, or the line in it. Raises BackupError."""
        pem = text if "-----" in text else _PEM.format(text.strip())
        try:
            key: object = load_pem_public_key(pem.encode())
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, X25519PublicKey):
            raise BackupError("the recipient is no X25519 public key; 'willis backup-key FILE' prints one")
        return cls(key)

    @property
    def line(self) -> str:
        """Its base64, to be given as it is."""
        return b64encode(self.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()

    def seal(self, content: bytes) -> bytes:
        """Raises BackupError if the key hides nothing."""
        head = _FOR_RECIPIENT + self.key.public_bytes_raw()
        try:
            return head + _SUITE.encrypt(content, self.key, head)
        except ValueError:  # a point of low order: the secret would be known to everybody (RFC 7748, 6.1)
            raise BackupError("the recipient's key is weak; 'willis backup-key FILE' makes one") from None


@dataclass(frozen=True, slots=True)
class Identity:
    """Opens what was closed for its recipient."""

    key: X25519PrivateKey = field(repr=False)

    @classmethod
    def make(cls) -> Identity:
        """A new one."""
        return cls(X25519PrivateKey.generate())

    @classmethod
    def read(cls, pem: str) -> Identity:
        """Raises BackupError."""
        try:
            key: object = load_pem_private_key(pem.encode(), None)
        except TypeError:
            raise BackupError(
                "the identity is encrypted itself; 'openssl pkey -in FILE' prints it without"
            ) from None
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, X25519PrivateKey):
            raise BackupError(
                "the identity is no X25519 private key in PEM, as 'willis backup-key' makes them"
            )
        return cls(key)

    @property
    def recipient(self) -> Recipient:
        """Whom to make backups for."""
        return Recipient(self.key.public_key())

    def pem(self) -> bytes:
        """To be kept, and from everybody else."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @staticmethod
    def check(backup: bytes) -> None:
        """Raises BackupError, with what to do, unless an identity opens such a backup."""
        _check(backup, _FOR_RECIPIENT, _KEY)

    def open(self, backup: bytes) -> bytes:
        """Raises BackupError."""
        self.check(backup)
        size = len(_FOR_RECIPIENT) + _KEY
        head, sealed = backup[:size], backup[size:]
        meant = Recipient(X25519PublicKey.from_public_bytes(head[-_KEY:]))
        if meant.line != self.recipient.line:
            raise BackupError(
                f"this backup is for {meant.line}, and the identity is of {self.recipient.line}"
            )
        try:
            return _SUITE.decrypt(sealed, self.key, head)
        except (InvalidTag, ValueError):
            raise BackupError("the backup was changed or cut short; take another copy") from None


def _check(backup: bytes, magic: bytes, more: int) -> None:
    found = backup[: len(magic)]
    if found != magic:
        unknown = "this is no backup of Willis, or of a newer version; use the version that made it"
        raise BackupError(_OTHERWISE.get(found, unknown))
    if len(backup) < len(magic) + more:
        raise BackupError("the backup was cut short; take another copy")


def _key(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=2**15, r=8, p=1).derive(passphrase.encode())
