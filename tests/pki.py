"""A certificate authority for tests, made anew in each run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def named(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


_SIGNS = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)
"""What an authority's key is for. Strict verifiers ask for it (RFC 5280, 4.2.1.3)."""


@dataclass(frozen=True)
class Issued:
    """A certificate with its key."""

    key: Key
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return pem(self.certificate)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def pem_with_key(self) -> bytes:
        return self.pem + self.key_pem


class Root:
    """An authority: self-signed, or below ``above``."""

    def __init__(self, name: str, above: Root | None = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        signer = above or self
        self._name = named(name)
        self.certificate = (
            _dated(self._name, signer._name, self.key.public_key(), timedelta(days=-365), 3650)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .add_extension(signer._identifier(), critical=False)
            .add_extension(_SIGNS, critical=True)
            .sign(signer.key, hashes.SHA256())
        )

    def intermediate(self, name: str) -> Root:
        return Root(name, above=self)

    def issue(
        self, *names: str, key: Key | None = None, start: timedelta = timedelta(hours=-1), days: int = 90
    ) -> Issued:
        """A certificate for ``names`` (host names or addresses); the first is the common name."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        return Issued(key, self.sign(key.public_key(), *names, start=start, days=days))

    def sign(
        self,
        key: CertificatePublicKeyTypes,
        *names: str,
        start: timedelta = timedelta(hours=-1),
        days: int = 90,
        extensions: tuple[x509.ExtensionType, ...] = (),
    ) -> x509.Certificate:
        builder = _dated(named(names[0]), self._name, key, start, days)
        subject = x509.SubjectAlternativeName([_general(name) for name in names])
        for extension in (subject, self._identifier(), *extensions):
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def _identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())


def _dated(
    subject: x509.Name, issuer: x509.Name, key: CertificatePublicKeyTypes, start: timedelta, days: int
) -> x509.CertificateBuilder:
    begin = datetime.now(UTC) + start
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
    )
