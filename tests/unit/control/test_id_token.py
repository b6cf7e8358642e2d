"""Which ID tokens prove something."""

from __future__ import annotations

import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from willis.control.id_token import TokenUnfit, judge
from willis.control.oidc import groups_of, name_of
from willis.control.vouched import Unproved, person
from willis.model.identity import Grant, Role
from willis.model.sign_in import GroupGrant, Oidc

ISSUER, CLIENT, NONCE = "https://id.example.org", "willis", "n" * 43
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _jwk(key: Any, kid: str | None) -> dict[str, Any]:
    kind = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    found = json.loads(kind.to_jwk(key.public_key()))
    return found if kid is None else {**found, "kid": kid}


KEYS = {"keys": [_jwk(KEY, "one")]}


def _claims(**changes: object) -> dict[str, Any]:
    now = time.time()
    claims = {
        "iss": ISSUER,
        "sub": "1",
        "aud": CLIENT,
        "exp": now + 300,
        "iat": now,
        "nonce": NONCE,
    } | changes
    return {key: value for key, value in claims.items() if value is not None}


def _token(claims: dict[str, Any], key: Any = KEY, algorithm: str = "RS256", kid: str | None = "one") -> str:
    return jwt.encode(claims, key, algorithm=algorithm, headers={} if kid is None else {"kid": kid})


def _judge(token: str, keys: dict[str, Any] = KEYS) -> dict[str, Any]:
    return judge(token, keys, ISSUER, CLIENT, NONCE)


def test_a_good_one() -> None:
    assert _judge(_token(_claims()))["sub"] == "1"
    assert _judge(_token(_claims(), kid=None))["sub"] == "1"
    assert _judge(_token(_claims(aud=[CLIENT, "other"], azp=CLIENT)))["sub"] == "1"
    elliptic = ec.generate_private_key(ec.SECP256R1())
    assert _judge(
        _token(_claims(), elliptic, "ES256", "two"), {"keys": [*KEYS["keys"], _jwk(elliptic, "two")]}
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"aud": "other"},
        {"aud": [CLIENT, "other"]},
        {"aud": [CLIENT, "other"], "azp": "other"},
        {"exp": time.time() - 3600},
        {"nonce": "other"},
        {"nonce": None},
        {"nonce": 7},
        {"sub": None},
        {"exp": None},
        {"iat": None},
        {"iss": None},
        {"nbf": time.time() + 3600},
    ],
    ids=lambda changes: "-".join(changes),  # each worker has its own clock
)
def test_claims_that_prove_nothing(changes: dict[str, Any]) -> None:
    with pytest.raises(TokenUnfit):
        _judge(_token(_claims(**changes)))


def test_signatures_that_prove_nothing() -> None:
    public = KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    forged = (
        _token(_claims(), OTHER),
        _token(_claims(), OTHER, kid="two"),
        _token(_claims(), None, "none"),
        _token(_claims())[:-4] + "AAAA",
        "nonsense",
        "",
    )
    for token in forged:
        with pytest.raises(TokenUnfit):
            _judge(token)
    # The public key as a shared secret: what a verifier that trusts the header would take.
    head, body, _ = _token(_claims()).split(".")
    hmac_header = jwt.utils.base64url_encode(b'{"alg":"HS256","kid":"one"}').decode()
    signed = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        f"{hmac_header}.{body}".encode(), public
    )
    with pytest.raises(TokenUnfit, match="HS256"):
        _judge(f"{hmac_header}.{body}.{jwt.utils.base64url_encode(signed).decode()}")
    assert head
    for keys in ({"keys": []}, {}, {"keys": [_jwk(KEY, "one"), _jwk(OTHER, "one")]}):
        with pytest.raises(TokenUnfit):
            _judge(_token(_claims()), keys)


OIDC = Oidc(
    ISSUER,
    CLIENT,
    "secret",
    (GroupGrant("PACS Admins", Role.ADMIN), GroupGrant("CT", Role.OPERATOR, ("Dicom*",))),
)


@pytest.mark.parametrize(
    ("groups", "grants"),
    [
        (["PACS Admins"], (Grant(Role.ADMIN),)),
        ("CT", (Grant(Role.OPERATOR, ("Dicom*",)),)),
        (["CT", "PACS Admins", "x"], (Grant(Role.ADMIN), Grant(Role.OPERATOR, ("Dicom*",)))),
        (["pacs admins"], ()),
        ([["PACS Admins"]], ()),
        ({"PACS Admins": True}, ()),
        (7, ()),
        (None, ()),
    ],
)
def test_groups_become_grants(groups: object, grants: tuple[Grant, ...]) -> None:
    found = groups_of(OIDC, {"groups": groups})
    if grants:
        assert person("ann", found, OIDC.grants).grants == grants
        return
    with pytest.raises(Unproved):
        person("ann", found, OIDC.grants)


def test_names() -> None:
    assert name_of({"preferred_username": "ann", "sub": "1"}) == "ann"
    assert name_of({"preferred_username": "Ann Smith\n", "email": "ann@x.org", "sub": "1"}) == "ann@x.org"
    with pytest.raises(Unproved):
        name_of({"sub": "a b"})
