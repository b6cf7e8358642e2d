"""The ACME client: one order from the first word to the certificate (RFC 8555, 7.4), by HTTP-01.

The answers to challenges are given by HAProxy, which needs nothing but the account's
thumbprint for them; so nothing is set up here before, and nothing taken away after.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import requests
from acme import challenges, client, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from josepy.errors import Error as JoseError
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from willis import __version__
from willis.acme.account import Binding, new_key

_PATIENCE = timedelta(seconds=120)
"""For all validations and the certificate."""
_REQUEST_S = 30
_LONGEST_NAME = 64
"""Characters of a common name (X.520)."""


class AcmeError(Exception):
    """No certificate came; the text says why, in the authority's own words where it gave some."""


@dataclass(frozen=True, slots=True)
class Directory:
    """Where orders go, and as whom."""

    url: str
    contact: str | None = None
    authorities: Path | None = None
    """PEM: who signed the directory's own certificate; None: the system's authorities."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that came, with its key."""

    chain_pem: str
    """The certificate first, then its issuers."""
    key_pem: str


def order(directory: Directory, key: JWKEC, binding: Binding | None, domains: tuple[str, ...]) -> Issued:
    """Order a certificate. Takes seconds, 120 at most after the first answer. Raises AcmeError."""
    try:
        talk = _session(directory, key, binding)
        certificate_key = new_key()
        begun = talk.new_order(_request(certificate_key, domains))
        for authorization in begun.authorizations:
            _answer(talk, authorization, key)
        # acme compares with naive local time
        done = talk.poll_and_finalize(begun, datetime.now() + _PATIENCE)  # noqa: DTZ005
    except requests.exceptions.SSLError as error:
        raise AcmeError(
            f"{directory.url} has a certificate that is not trusted ({_cause(error)}); name its authority: "
            "acme.authority"
        ) from error
    except requests.exceptions.RequestException as error:
        raise AcmeError(f"{directory.url} cannot be reached: {_cause(error)}") from error
    except (errors.Error, JoseError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise AcmeError(_reason(error)) from error
    return Issued(done.fullchain_pem, certificate_key.decode())


def _session(directory: Directory, key: JWKEC, binding: Binding | None) -> client.ClientV2:
    """Signed in with the account, which is made where there is none yet."""
    network = client.ClientNetwork(key, alg=ES256, user_agent=f"willis/{__version__}", timeout=_REQUEST_S)
    network.verify_ssl = _trusted(directory)  # type: ignore[assignment] # requests takes a path too
    found = client.ClientV2.get_directory(directory.url, network)
    talk = client.ClientV2(found, network)
    if talk.external_account_required() and binding is None:
        raise AcmeError(
            "the authority binds accounts to contracts; ask it for a key id and an HMAC key and give both: "
            "willis acme account --eab-kid KID --eab-key-file FILE"
        )
    bound = (
        messages.ExternalAccountBinding.from_data(key.public_key(), binding.kid, binding.hmac_key, found)
        if binding is not None
        else None
    )
    wish = messages.NewRegistration.from_data(
        email=directory.contact, external_account_binding=bound, terms_of_service_agreed=True
    )
    try:
        talk.new_account(wish)
    except errors.ConflictError as known:
        network.account = messages.RegistrationResource(body=messages.Registration(), uri=known.location)
    return talk


def _trusted(directory: Directory) -> str | bool:
    """The file or folder of authorities; requests' own list would miss what the site added to the system."""
    if directory.authorities is not None:
        return str(directory.authorities)
    system = ssl.get_default_verify_paths()
    return system.cafile or system.capath or True


def _request(key_pem: bytes, domains: tuple[str, ...]) -> bytes:
    """A certificate signing request, PEM."""
    key = serialization.load_pem_private_key(key_pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise AcmeError("the certificate's key is not the EC key that was made for it")
    common = [x509.NameAttribute(NameOID.COMMON_NAME, domains[0])] if len(domains[0]) <= _LONGEST_NAME else []
    names = x509.SubjectAlternativeName([x509.DNSName(domain) for domain in domains])
    built = (
        x509.CertificateSigningRequestBuilder().subject_name(x509.Name(common)).add_extension(names, False)
    )
    return built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _answer(talk: client.ClientV2, found: messages.AuthorizationResource, key: JWKEC) -> None:
    """Tell the authority to look for its HTTP-01 challenge. Raises AcmeError if it offers none."""
    if found.body.status == messages.STATUS_VALID:
        return
    for offered in found.body.challenges:
        if isinstance(offered.chall, challenges.HTTP01):
            talk.answer_challenge(offered, offered.chall.response(key))
            return
    raise AcmeError(
        f"the authority does not offer HTTP-01 for {found.body.identifier.value}; wildcards need another way"
    )


def _reason(error: Exception) -> str:
    """The authority's words, in one line."""
    if isinstance(error, errors.ValidationError):
        said = [
            f"{one.body.identifier.value}: {challenge.error.detail or challenge.error.typ}"
            for one in error.failed_authzrs
            for challenge in one.body.challenges
            if challenge.error is not None
        ]
        return _line(f"the authority could not prove {'; '.join(said)}")
    if isinstance(error, errors.TimeoutError):
        return f"the authority did not decide within {_PATIENCE.seconds} s"
    if isinstance(error, errors.IssuanceError):
        return _line(f"the authority refused: {error.error.detail or error.error.typ}")
    if isinstance(error, messages.Error):
        inner = [sub.detail for sub in error.subproblems or () if sub.detail]
        return _line(f"the authority refused: {'; '.join([error.detail or error.typ, *inner])}")
    return _line(f"the authority's answer cannot be used: {error or type(error).__name__}")


def _cause(error: BaseException) -> str:
    """The innermost reason of a failed request: the outer ones only repeat the URL."""
    inner: BaseException | None = error
    while inner is not None:
        error, inner = inner, inner.__cause__ or inner.__context__
    return _line(str(error) or type(error).__name__)


def _line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:500]
