"""The certificate that an interface has from its first start: signed by itself, known by its fingerprint."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from willis.web.hosts import plain_address

_YEARS = 10
"""People trust it by its fingerprint, so an early end would protect nobody and lock out some."""


def made_once(directory: Path, names: Iterable[str]) -> tuple[Path, Path]:
    """Certificate and key in ``directory``, made for ``names`` (host names and addresses) if not there.

    Raises OSError.
    """
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    if not (certificate.exists() and key.exists()):
        certificate_pem, key_pem = make(names, datetime.now(UTC))
        _write(key, key_pem)
        _write(certificate, certificate_pem)
    return certificate, key


def make(names: Iterable[str], now: datetime) -> tuple[bytes, bytes]:
    """A certificate for ``names`` and its key (P-256), both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Willis")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks of other machines may be a little behind.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=365 * _YEARS))
        .add_extension(
            x509.SubjectAlternativeName([_name(name) for name in sorted(set(names))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def fingerprint(pem: bytes) -> str:
    """SHA-256 of the first certificate, as browsers and openssl show it. Raises ValueError."""
    return x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256()).hex(":").upper()


def _name(name: str) -> x509.GeneralName:
    address = plain_address(name)
    return x509.DNSName(name) if address is None else x509.IPAddress(ipaddress.ip_address(str(address)))


def _write(path: Path, content: bytes) -> None:
    """For its owner only; whole or not at all."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
