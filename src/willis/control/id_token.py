"""Judges an ID token (OpenID Connect Core 1.0, 3.1.3.7). Pure but for the clock that PyJWT reads."""

from __future__ import annotations

import hmac
from typing import Any

import jwt

Claims = dict[str, Any]

_ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
"""Signatures by the provider's private key. Neither ``none``, nor a secret that we would share (HS256)."""
_CLOCKS_APART_S = 60


class TokenUnfit(Exception):
    """The token proves nothing; the text says why."""


def judge(token: str, keys: Claims, issuer: str, client: str, nonce: str) -> Claims:
    """The claims of a token that ``issuer`` made for ``client`` and this sign-in.

    ``keys`` is the issuer's JWK Set (RFC 7517). Raises TokenUnfit.
    """
    try:
        algorithm, key = _key(token, jwt.PyJWKSet.from_dict(keys).keys)
        claims: Claims = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=client,
            issuer=issuer,
            leeway=_CLOCKS_APART_S,
            options={"require": ["iss", "sub", "aud", "exp", "iat"]},
        )
    except jwt.PyJWTError as error:
        raise TokenUnfit(str(error)) from error
    if isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and claims.get("azp") != client:
        raise TokenUnfit("it is for several clients, and not given to this one (azp)")
    found = claims.get("nonce")
    if not isinstance(found, str) or not hmac.compare_digest(found.encode(), nonce.encode()):
        raise TokenUnfit("it belongs to another sign-in (nonce)")
    return claims


def _key(token: str, keys: list[jwt.PyJWK]) -> tuple[str, jwt.PyJWK]:
    """The algorithm and the key that the token's header names. Raises PyJWTError, TokenUnfit."""
    header = jwt.get_unverified_header(token)
    algorithm, wanted = header.get("alg"), header.get("kid")
    if algorithm not in _ALGORITHMS:
        raise TokenUnfit(f"it is signed by {str(algorithm)[:20]!r}, which is not accepted")
    fitting = [key for key in keys if wanted is None or key.key_id == wanted]
    if len(fitting) != 1:
        raise TokenUnfit("the provider's keys do not tell which one signed it")
    return algorithm, fitting[0]
