"""Makes ready what HAProxy needs before a certificate was ever ordered: an account's thumbprint, a stopgap.

A listener for TLS needs some certificate to stand. Until the ordered one comes a self-signed
one takes its place in the store: clients refuse it, as they should, and the ordered one
replaces it in the running process. Nothing that is stored already is touched.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from willis.acme.account import Account
from willis.certificates.store import CertificateStore
from willis.model.config import Config

_LIFE = timedelta(days=365)
_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Willis stopgap")])


class Ready:
    """Call it with a config before compiling it."""

    def __init__(self, account: Account, store: CertificateStore) -> None:
        self._account = account
        self._store = store

    def __call__(self, config: Config) -> str | None:
        """The thumbprint; None where nothing is ordered. Raises AccountError, CertificateError."""
        if config.acme is None:
            return None
        for wanted in config.acme.certificates:
            if not self._store.path(wanted.name).exists():
                self._store.put(wanted.name, stopgap(wanted.domains, datetime.now(UTC)))
        return self._account.thumbprint()


def stopgap(domains: tuple[str, ...], now: datetime) -> bytes:
    """A self-signed certificate for ``domains`` with its key, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    built = (
        x509.CertificateBuilder()
        .subject_name(_NAME)
        .issuer_name(_NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(d) for d in domains]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + built.public_bytes(serialization.Encoding.PEM)
