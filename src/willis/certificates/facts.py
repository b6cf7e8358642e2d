"""What a certificate says, in plain values, and whether it may serve. Pure: the time is an argument."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID, NameOID

from willis.certificates.material import CertificateError, Pair, self_signed

_SHORTEST_RSA = 2048
"""Bits; NIST SP 800-57 and every browser refuse less."""
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_WEAK_HASHES = ("md5", "sha1")


@dataclass(frozen=True, slots=True)
class Facts:
    """One certificate."""

    subject: str
    """The common name, or the whole subject where there is none."""
    names: tuple[str, ...]
    """DNS names and addresses that clients may find in it (subjectAltName; the common name if none)."""
    not_before: datetime
    not_after: datetime
    """Both with a time zone (UTC)."""
    issuer: str
    fingerprint: str
    """SHA-256 of the certificate, hexadecimal."""
    serial: str
    """Hexadecimal."""
    key: str
    """Such as ``RSA 2048`` or ``EC secp256r1``."""
    ocsp: str | None
    """Where its issuer tells whether it was revoked."""
    self_signed: bool


def facts(certificate: x509.Certificate) -> Facts:
    """Raises CertificateError for one that cannot be read."""
    try:
        return Facts(
            subject=_who(certificate.subject),
            names=tuple(_names(certificate)),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            issuer=_who(certificate.issuer),
            fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
            serial=f"{certificate.serial_number:x}",
            key=_key(certificate),
            ocsp=_ocsp(certificate),
            self_signed=self_signed(certificate),
        )
    except ValueError as error:
        raise CertificateError(f"a certificate cannot be read ({error}); fetch the file again") from error


def judge(found: Pair, now: datetime) -> None:
    """Raises CertificateError for a certificate that must not serve."""
    leaf = facts(found.leaf)
    if now > leaf.not_after:
        raise CertificateError(
            f"the certificate of {leaf.subject} has expired on {leaf.not_after:%Y-%m-%d %H:%M} UTC; "
            "get a new one from its issuer"
        )
    if now < leaf.not_before:
        raise CertificateError(
            f"the certificate of {leaf.subject} is not valid before {leaf.not_before:%Y-%m-%d %H:%M} UTC; "
            "check the clock of this node, or wait until then"
        )
    if not leaf.names:
        raise CertificateError("the certificate names no host; request one with --domain")
    _strong(found.leaf)
    for above in found.chain[1:]:
        if now > above.not_valid_after_utc:
            raise CertificateError(
                f"the certificate of {_who(above.subject)} in the chain has expired; "
                "give the chain that came with the certificate"
            )


def warnings(found: Pair, old: Facts | None, now: datetime) -> tuple[str, ...]:
    """What is odd and yet may serve. ``old``: what served under this name until now."""
    new = facts(found.leaf)
    said = []
    if old is not None and (gone := sorted(set(old.names) - set(new.names))):
        said.append(f"it no longer serves {', '.join(gone)}, which the former certificate did")
    if found.dropped:
        said.append(f"{found.dropped} certificates in the files do not belong to its chain and were left out")
    if new.self_signed:
        said.append("it is self-signed, so clients trust it only where it was installed by hand")
    if (days := (new.not_after - now).days) < 14:
        said.append(f"it expires in {days} days")
    return tuple(said)


def judge_authorities(certificates: Sequence[x509.Certificate], now: datetime) -> None:
    """Raises CertificateError where none could vouch for anybody, or one is no authority."""
    if not certificates:
        raise CertificateError("the file holds no certificate; give the authority's certificate")
    for one in certificates:
        if not _may_sign(one):
            raise CertificateError(
                f"{_who(one.subject)} is not an authority's certificate; give the one that signed it"
            )
    if all(now > one.not_valid_after_utc for one in certificates):
        raise CertificateError("all authorities in the file have expired; get the current ones")


def _strong(leaf: x509.Certificate) -> None:
    key = leaf.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _SHORTEST_RSA:
        raise CertificateError(
            f"an RSA key of {key.key_size} bits is too weak; use {_SHORTEST_RSA} bits or more, or EC"
        )
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name not in _CURVES:
        raise CertificateError(f"the curve {key.curve.name} is not widely known; use P-256 or P-384")
    digest = leaf.signature_hash_algorithm
    if digest is not None and digest.name in _WEAK_HASHES:
        raise CertificateError(
            f"the certificate is signed with {digest.name.upper()}, which can be forged; "
            "have it issued anew with SHA-256"
        )


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return self_signed(certificate)
    except ValueError:
        return False


def _who(name: x509.Name) -> str:
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(common[0].value) if common else name.rfc4514_string()


def _names(certificate: x509.Certificate) -> Iterator[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        yield from (str(each.value) for each in common)
        return
    yield from found.get_values_for_type(x509.DNSName)
    yield from (str(each) for each in found.get_values_for_type(x509.IPAddress))


def _key(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    return "Ed25519" if isinstance(key, ed25519.Ed25519PublicKey) else "other"


def _ocsp(certificate: x509.Certificate) -> str | None:
    try:
        told = certificate.extensions.get_extension_for_oid(ExtensionOID.AUTHORITY_INFORMATION_ACCESS).value
    except x509.ExtensionNotFound:
        return None
    if not isinstance(told, x509.AuthorityInformationAccess):
        return None
    for way in told:
        place = way.access_location
        is_ocsp = way.access_method == AuthorityInformationAccessOID.OCSP
        if is_ocsp and isinstance(place, x509.UniformResourceIdentifier):
            return str(place.value)
    return None
