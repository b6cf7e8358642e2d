"""OCSP (RFC 6960): the question for a certificate, and the judgement on an answer. Pure.

An answer is stapled only if it is about the certificate, says "good", is signed by the
issuer or by a responder that the issuer named, and counts now. Anything else would make
strict clients leave; without a staple they ask for themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

_SKEW = timedelta(minutes=5)
"""How far a responder's clock may be ahead of ours."""
_UNDATED = timedelta(hours=1)
"""How long an answer without nextUpdate counts: newer ones are always at hand (RFC 6960, 2.4)."""


class Unfit(ValueError):
    """An answer that must not be stapled; the text says why."""


@dataclass(frozen=True, slots=True)
class Staple:
    """An answer that may be stapled."""

    der: bytes
    since: datetime
    until: datetime


def responder_of(leaf: x509.Certificate) -> str | None:
    """The URL of the responder that a certificate names; None: it names none over HTTP."""
    try:
        named = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return None
    places = (
        each.access_location.value
        for each in named
        if each.access_method == AuthorityInformationAccessOID.OCSP
    )
    return next((url for url in places if isinstance(url, str) and url.startswith("http://")), None)


def question(leaf: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """The request in DER. SHA-1 names the issuer, not more: it is what every responder knows (RFC 5019)."""
    built = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, hashes.SHA1())  # noqa: S303
    return built.build().public_bytes(serialization.Encoding.DER)


def judge(der: bytes, leaf: x509.Certificate, issuer: x509.Certificate, now: datetime) -> Staple:
    """The staple in an answer. Raises Unfit."""
    try:
        answer = ocsp.load_der_ocsp_response(der)
        status = answer.response_status
    except ValueError as error:
        raise Unfit(f"the answer is no OCSP response ({error})") from error
    if status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise Unfit(f"the responder refuses: {status.name.lower().replace('_', ' ')}")
    single = _about(answer, leaf, issuer)
    _signed(answer, issuer, now)
    since = single.this_update_utc
    until = single.next_update_utc or since + _UNDATED
    if since > now + _SKEW:
        raise Unfit(f"the answer counts only from {since:%Y-%m-%d %H:%M} UTC; compare the clocks")
    if until <= now:
        raise Unfit(f"the answer counted only until {until:%Y-%m-%d %H:%M} UTC")
    if single.certificate_status is ocsp.OCSPCertStatus.REVOKED:
        raise Unfit("the certificate was REVOKED by its issuer; order another one")
    if single.certificate_status is not ocsp.OCSPCertStatus.GOOD:
        raise Unfit("the responder does not know the certificate")
    return Staple(der, since, until)


def _about(
    answer: ocsp.OCSPResponse, leaf: x509.Certificate, issuer: x509.Certificate
) -> ocsp.OCSPSingleResponse:
    """The part of an answer that is about ``leaf``. Raises Unfit."""
    for single in answer.responses:
        try:
            ours = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, single.hash_algorithm).build()
        except (ValueError, UnsupportedAlgorithm):
            continue
        if (single.serial_number, single.issuer_key_hash, single.issuer_name_hash) == (
            ours.serial_number,
            ours.issuer_key_hash,
            ours.issuer_name_hash,
        ):
            return single
    raise Unfit("the answer is about another certificate")


def _signed(answer: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime) -> None:
    """Whether the issuer signed, or a responder that it delegated (RFC 6960, 4.2.2.2). Raises Unfit."""
    for signer in (issuer, *answer.certificates):
        if signer is not issuer and not _delegated(signer, issuer, now):
            continue
        try:
            _verify(answer, signer)
        except (InvalidSignature, UnsupportedAlgorithm):
            continue
        return
    raise Unfit("the answer is not signed by the certificate's issuer or a responder that it named")


def _delegated(signer: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bool:
    try:
        signer.verify_directly_issued_by(issuer)
        uses = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound):
        return False
    counts = signer.not_valid_before_utc <= now <= signer.not_valid_after_utc
    return counts and ExtendedKeyUsageOID.OCSP_SIGNING in uses


def _verify(answer: ocsp.OCSPResponse, signer: x509.Certificate) -> None:
    """Raises InvalidSignature, also for a kind of key or digest that does not fit."""
    key, digest = signer.public_key(), answer.signature_hash_algorithm
    signature, signed = answer.signature, answer.tbs_response_bytes
    if isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, signed)
    elif digest is None or isinstance(digest, hashes.SHA1 | hashes.MD5):
        raise InvalidSignature
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, signed, ec.ECDSA(digest))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, signed, padding.PKCS1v15(), digest)
    else:
        raise InvalidSignature
