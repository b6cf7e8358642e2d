"""Keys of backups are those of OpenSSL; what is no such key is refused with a sentence that repeats none."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from willis.control.backup_seal import BackupError, Identity, Passphrase, Recipient

PEM = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VuBCIEIPA6jNp6MgL/iDoZpJw61PokY8rAa5kB+WlQkn0gPYZN
-----END PRIVATE KEY-----
"""
LINE = "MCowBQYDK2VuAyEAZzLkrz2ygYV5ToOBD0MaDVGp2Ru8t4y8//4vlxH69AU="
"""Both made by 'openssl genpkey -algorithm x25519' and 'openssl pkey -pubout'."""


def test_keys_of_openssl_fit() -> None:
    identity = Identity.read(PEM)
    assert identity.recipient.line == LINE
    pem = f"-----BEGIN PUBLIC KEY-----\n{LINE}\n-----END PUBLIC KEY-----\n"
    for text in (LINE, f" {LINE}\n", pem):
        assert identity.open(Recipient.read(text).seal(b"content")) == b"content"
    assert Identity.read(identity.pem().decode()).recipient.line == LINE


def test_a_recipient_opens_nothing_and_two_backups_share_nothing() -> None:
    identity = Identity.make()
    one, two = (identity.recipient.seal(b"content") for _ in range(2))
    assert one[48:] != two[48:]
    assert not hasattr(identity.recipient, "open")


@pytest.mark.parametrize(
    "text", ["", "x", "MCowBQYDK2VuAyEA", LINE[:-4], LINE + "AAAA", PEM, "\ud800", "-----", "\0", "ä" * 60]
)
def test_what_is_no_recipient_is_refused(text: str) -> None:
    with pytest.raises(BackupError, match="no X25519 public key") as refused:
        Recipient.read(text)
    assert LINE[20:] not in str(refused.value)


def test_keys_of_other_kinds_are_refused() -> None:
    for other in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())):
        public = other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        private = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with pytest.raises(BackupError, match="no X25519 public key"):
            Recipient.read(public.decode())
        with pytest.raises(BackupError, match="no X25519 private key"):
            Identity.read(private.decode())


def test_a_key_that_hides_nothing_is_refused() -> None:
    zero = "MCowBQYDK2VuAyEA" + "A" * 43 + "="
    with pytest.raises(BackupError, match="weak"):
        Recipient.read(zero).seal(b"content")


def test_an_identity_is_read_with_care() -> None:
    key = Identity.make().key
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    with pytest.raises(BackupError, match="encrypted itself"):
        Identity.read(encrypted.decode())
    for text in ("", "x", LINE, PEM[:-40], PEM[:60]):
        with pytest.raises(BackupError, match="no X25519 private key"):
            Identity.read(text)


def test_nothing_secret_is_in_what_is_printed_for_debugging() -> None:
    assert "horse" not in repr(Passphrase("correct horse battery"))
    assert "key" not in repr(Identity.make())
