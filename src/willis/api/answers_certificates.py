"""The shapes of the answers about certificates. Times are ISO 8601 with their zone, for people."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict


class FactsRow(TypedDict):
    """What a certificate says. ``fingerprint``: SHA-256, hexadecimal; ``ocsp``: who tells of revocation."""

    subject: str
    names: list[str]
    issuer: str
    not_before: str
    not_after: str
    fingerprint: str
    serial: str
    key: str
    ocsp: str | None


class CertificateRow(FactsRow):
    """A certificate of the store, and the services that use it."""

    name: str
    services: list[str]
    stored_at: str


class CertificateAnswer(CertificateRow):
    """One certificate with its chain (PEM)."""

    chain: str


class StoredAnswer(CertificateRow):
    """A certificate that was stored, and what is odd about it, in sentences."""

    warnings: list[str]


class UnreadableRow(TypedDict):
    """A file of the store that holds no certificate."""

    name: str
    reason: str


class CertificatesAnswer(TypedDict):
    """The store. ``requested``: names whose key waits for its certificate."""

    certificates: list[CertificateRow]
    requested: list[str]
    unreadable: list[UnreadableRow]


class SigningRequestAnswer(TypedDict):
    """A signing request (PEM, PKCS #10)."""

    name: str
    request: str


class AuthorityRow(TypedDict):
    """Whom to trust under a name."""

    name: str
    certificates: list[FactsRow]


class AuthoritiesAnswer(TypedDict):
    """Whom the site trusts."""

    authorities: list[AuthorityRow]


class RemovedAnswer(TypedDict):
    """What is no longer there."""

    removed: str


_ONE, _AUTHORITY = "/api/v1/certificates/{name}", "/api/v1/authorities/{name}"
CERTIFICATES: dict[tuple[str, str], Any] = {
    ("GET", "/api/v1/certificates"): CertificatesAnswer,
    ("GET", _ONE): CertificateAnswer,
    ("PUT", _ONE): StoredAnswer,
    ("DELETE", _ONE): RemovedAnswer,
    ("POST", f"{_ONE}/request"): SigningRequestAnswer,
    ("GET", "/api/v1/authorities"): AuthoritiesAnswer,
    ("PUT", _AUTHORITY): AuthorityRow,
    ("DELETE", _AUTHORITY): RemovedAnswer,
}
"""By method and path."""
