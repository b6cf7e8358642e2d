"""What people bring: PEM in any order and number of files, DER, or PFX (PKCS#12). Pure.

Everything is parsed by ``cryptography``; we only sort it into one key and one chain.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)
_LONGEST_CHAIN = 10


class CertificateError(Exception):
    """Refused; the text says why and what to do. What was stored before stays."""


@dataclass(frozen=True, slots=True)
class Material:
    """What was found in the files."""

    certificates: tuple[x509.Certificate, ...]
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """A key with its certificate and those that lead towards a root."""

    key: Key
    chain: tuple[x509.Certificate, ...]
    """The leaf first."""
    dropped: int
    """Certificates in the files that have no place in the chain."""

    @property
    def leaf(self) -> x509.Certificate:
        return self.chain[0]

    def key_pem(self) -> str:
        return pem_of_key(self.key)

    def chain_pem(self) -> str:
        return "".join(map(pem_of, self.chain))


def read(files: Sequence[bytes], passphrase: str | None = None) -> Material:
    """All certificates and keys of the files. Raises CertificateError."""
    certificates: list[x509.Certificate] = []
    keys: list[Key] = []
    for content in files:
        found = _pem(content, passphrase) if b"-----BEGIN " in content else _binary(content, passphrase)
        certificates += found.certificates
        keys += found.keys
    return Material(tuple(dict.fromkeys(certificates)), tuple(keys))


def pair(material: Material, known: Iterable[Key] = ()) -> Pair:
    """The key and the chain. ``known``: keys to try if the files bring none. Raises CertificateError."""
    if not material.certificates:
        raise CertificateError("the files hold no certificate; give the certificate, its chain and its key")
    if len(material.keys) > 1:
        raise CertificateError(
            f"the files hold {len(material.keys)} private keys; give one certificate with its key at a time"
        )
    keys = material.keys or tuple(known)
    if not keys:
        raise CertificateError(
            "the files hold no private key, and none waits for this name; give the key too, or begin with "
            "'willis certificate request'"
        )
    for key in keys:
        for leaf in material.certificates:
            if _same(key, leaf):
                chain = _chain(leaf, material.certificates)
                return Pair(key, chain, len(material.certificates) - len(chain))
    raise CertificateError(
        "the private key does not belong to any of the certificates; give the key that the certificate "
        "was requested with"
    )


def pem_of(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode("ascii")


def pem_of_key(key: Key) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def self_signed(certificate: x509.Certificate) -> bool:
    return _signed(certificate, certificate)


def _pem(content: bytes, passphrase: str | None) -> Material:
    certificates: list[x509.Certificate] = []
    keys: list[Key] = []
    for found in _BLOCK.finditer(content):
        kind, block = found[1].decode(), found[0] + b"\n"
        if kind in ("CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"):
            certificates.append(_certificate(block))
        elif kind.endswith("PRIVATE KEY"):
            keys.append(_key(block, passphrase))
    if not certificates and not keys:
        raise CertificateError("a file holds neither a whole certificate nor a whole private key; give PEM, "
                               "DER or PFX files")  # fmt: skip
    return Material(tuple(certificates), tuple(keys))


def _certificate(block: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(block)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"a certificate is broken ({error}); fetch the file again") from error


def _key(block: bytes, passphrase: str | None) -> Key:
    secret = b"ENCRYPTED" in block
    if secret and passphrase is None:
        raise CertificateError("the private key is encrypted; give --passphrase-file")
    try:
        word = passphrase.encode() if secret and passphrase is not None else None
        return _usable(load_pem_private_key(block, word))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        why = "or the passphrase is wrong" if secret else "so it cannot be used"
        raise CertificateError(f"the private key is broken, {why}; give the right file") from error


def _binary(content: bytes, passphrase: str | None) -> Material:
    try:
        return Material((x509.load_der_x509_certificate(content),), ())
    except ValueError:
        pass
    try:
        bag = load_pkcs12(content, passphrase.encode() if passphrase is not None else None)
    except (ValueError, UnsupportedAlgorithm) as error:
        hint = "is not the right one" if passphrase is not None else "is missing (--passphrase-file)"
        raise CertificateError(
            f"a file is neither PEM nor DER, and as PFX it cannot be opened: it is broken, or its passphrase "
            f"{hint}"
        ) from error
    found = [bag.cert, *bag.additional_certs]
    keys = () if bag.key is None else (_usable(bag.key),)
    return Material(tuple(each.certificate for each in found if each is not None), keys)


def _usable(key: object) -> Key:
    if isinstance(key, Key):
        return key
    raise CertificateError("the private key is of a kind that TLS clients do not know; use RSA or EC")


def _same(key: Key, certificate: x509.Certificate) -> bool:
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    try:
        return key.public_key().public_bytes(*form) == certificate.public_key().public_bytes(*form)
    except (ValueError, UnsupportedAlgorithm):
        return False


def _chain(leaf: x509.Certificate, pool: Sequence[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """From the leaf upwards as far as the files lead, by signatures."""
    chain = [leaf]
    while len(chain) < _LONGEST_CHAIN and not self_signed(chain[-1]):
        above = next((c for c in pool if c not in chain and _signed(chain[-1], c)), None)
        if above is None:
            break
        chain.append(above)
    return tuple(chain)


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
