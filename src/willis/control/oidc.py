"""The client of an OpenID provider: exchanges a code for an ID token, and groups for grants.

The browser's part (state, cookie, redirects) is the web process's. What counts is decided here,
where the client's secret is: the web process cannot make anybody anyone.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from willis.certificates.store import CertificateError
from willis.control.changes import Refused
from willis.control.id_token import TokenUnfit, judge
from willis.control.secrets import SecretError, Secrets
from willis.control.vouched import Person, Unproved, person
from willis.model.identity import NAME
from willis.model.sign_in import Oidc

Json = dict[str, Any]
Find = Callable[[str], Path]
"""Where an authority of the certificate store is, by its name."""

SCOPES = ("openid", "profile", "email")
_PATIENCE_S = 10.0
_LONGEST = 1024 * 1024
_REMEMBERED_S = 300.0
_HTTPS = re.compile(r"https://[!-~]{1,2000}\Z")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a browser brought back, and what was sent along when it left."""

    code: str
    verifier: str
    nonce: str
    redirect_uri: str


class Provider:
    """The provider that the document names. ``find`` may raise CertificateError."""

    def __init__(self, find: Find, secrets: Secrets, clock: Callable[[], float] = time.monotonic) -> None:
        self._find = find
        self._secrets = secrets
        self._clock = clock
        self._known: tuple[Oidc, Json, float] | None = None

    async def where(self, oidc: Oidc) -> Json:
        """Where a browser begins. Raises Refused."""
        async with self._http(oidc) as http:
            found = await self._described(http, oidc)
        return {
            "authorization_endpoint": found["authorization_endpoint"],
            "client_id": oidc.client_id,
            "scopes": list(SCOPES),
        }

    async def person(self, oidc: Oidc, answer: Answer) -> Person:
        """Who it is. Raises Refused where the provider cannot be asked, Unproved where it does not vouch."""
        async with self._http(oidc) as http:
            found = await self._described(http, oidc)
            token = await self._token(http, oidc, found, answer)
            keys = await _json(http, "GET", found["jwks_uri"])
        try:
            claims = judge(token, keys, oidc.issuer, oidc.client_id, answer.nonce)
        except TokenUnfit as error:
            raise Unproved(f"the provider's ID token is not accepted: {error}") from error
        return person(name_of(claims), groups_of(oidc, claims), oidc.grants)

    async def _described(self, http: httpx.AsyncClient, oidc: Oidc) -> Json:
        """The provider's own description (OpenID Connect Discovery 1.0), a few minutes old at most."""
        if self._known is not None:
            known, found, at = self._known
            if known == oidc and self._clock() - at < _REMEMBERED_S:
                return found
        found = await _json(http, "GET", f"{oidc.issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != oidc.issuer:
            raise Refused(
                f"the provider calls itself {str(found.get('issuer'))[:200]!r}, not {oidc.issuer!r}"
            )
        for key in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not isinstance(found.get(key), str) or not _HTTPS.match(found[key]):
                raise Refused(f"the provider's description has no https URL as {key}")
        self._known = oidc, found, self._clock()
        return found

    async def _token(self, http: httpx.AsyncClient, oidc: Oidc, found: Json, answer: Answer) -> str:
        """The ID token for a code (RFC 6749, 4.1.3; RFC 7636, 4.5)."""
        try:
            secret = self._secrets.get(oidc.secret)
        except SecretError as error:
            raise Refused(str(error)) from error
        form = {
            "grant_type": "authorization_code",
            "code": answer.code,
            "redirect_uri": answer.redirect_uri,
            "code_verifier": answer.verifier,
        }
        # Basic is what a provider takes that does not say otherwise (Discovery 1.0, 3).
        methods = found.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if "client_secret_basic" in methods:
            auth = httpx.BasicAuth(oidc.client_id, secret)
        else:
            auth, form = None, form | {"client_id": oidc.client_id, "client_secret": secret}
        given = await _json(http, "POST", found["token_endpoint"], data=form, auth=auth)
        if not isinstance(given.get("id_token"), str):
            raise Unproved(f"the provider gave no ID token ({str(given.get('error', 'no reason'))[:100]})")
        return str(given["id_token"])

    def _http(self, oidc: Oidc) -> httpx.AsyncClient:
        try:
            authority = None if oidc.authority is None else str(self._find(oidc.authority))
            context = ssl.create_default_context(cafile=authority)
        except (CertificateError, OSError) as error:
            raise Refused(
                f"the authority {oidc.authority} of the OpenID provider cannot be used: {error}"
            ) from error
        return httpx.AsyncClient(verify=context, timeout=_PATIENCE_S, trust_env=False)


def groups_of(oidc: Oidc, claims: Json) -> set[str]:
    """The groups that the claims name: one, or a list."""
    found = claims.get(oidc.groups_claim)
    named = found if isinstance(found, list) else [found]
    return {group for group in named if isinstance(group, str)}


def name_of(claims: Json) -> str:
    """What to call somebody: the name they sign in with, where it is one for us too; else the provider's id.

    It decides nothing: rights come from groups alone.
    """
    for key in ("preferred_username", "email", "sub"):
        name = claims.get(key)
        if isinstance(name, str) and NAME.match(name):
            return name
    raise Unproved("the provider's ID token has no name of up to 64 letters, digits and ._@-")


async def _json(
    http: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    data: dict[str, str] | None = None,
    auth: httpx.Auth | None = None,
) -> Json:
    """A JSON object, also of an answer that refuses. Redirects are not followed. Raises Refused."""
    try:
        async with (
            asyncio.timeout(_PATIENCE_S),
            http.stream(method, url, data=data, auth=auth) as answer,
        ):
            body = b""
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > _LONGEST:
                    raise Refused(f"the OpenID provider's answer at {url} is too long")
        found = json.loads(body)
    except (httpx.HTTPError, TimeoutError) as error:
        raise Refused(f"the OpenID provider does not answer at {url} ({error or 'too slow'})") from error
    except ValueError as error:
        raise Refused(
            f"the OpenID provider's answer at {url} is no JSON (HTTP {answer.status_code})"
        ) from error
    if not isinstance(found, dict):
        raise Refused(f"the OpenID provider's answer at {url} is not what OpenID says")
    return found
