"""Requests for a certificate (PKCS#10), and keys for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from willis.certificates.material import CertificateError, Key

_DOMAIN = re.compile(
    r"\A(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\Z"
)
_MOST_DOMAINS = 100
_LONGEST_COMMON_NAME = 64
"""RFC 5280, ub-common-name."""


def new_key() -> Key:
    """EC P-256: known everywhere, and several times as many handshakes a second as RSA."""
    return ec.generate_private_key(ec.SECP256R1())


def signing_request(key: Key, domains: Sequence[str]) -> str:
    """PEM. ``domains``: host names or addresses. Raises CertificateError."""
    if not 1 <= len(domains) <= _MOST_DOMAINS:
        raise CertificateError(f"a request names 1 to {_MOST_DOMAINS} hosts; give --domain for each")
    names = [_general(domain) for domain in domains]
    common = [
        x509.NameAttribute(NameOID.COMMON_NAME, d) for d in domains[:1] if len(d) <= _LONGEST_COMMON_NAME
    ]
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name(common))
        .add_extension(x509.SubjectAlternativeName(names), critical=not common)
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    return request.public_bytes(Encoding.PEM).decode("ascii")


def _general(domain: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(domain))
    except ValueError:
        pass
    if len(domain) > 253 or not _DOMAIN.match(domain):
        raise CertificateError(
            f"{domain!r} is neither a host name nor an address; write it as pacs.example.org"
        )
    return x509.DNSName(domain)
