"""Signing in elsewhere (OpenID Connect): sends a browser to the provider, and takes it back.

Authorization code with PKCE (RFC 7636). The engine exchanges the code and judges the ID token; here
is only what ties the answer to the browser that asked: state, nonce and verifier in a short cookie.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from html import escape
from urllib.parse import urlencode

import httpx
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from willis.web import cookies
from willis.web.guard import client_of
from willis.web.page import page
from willis.web.proxy import Engine, Refused, opened

_ENGINE = "/api/v1/login/oidc"
CALLBACK = "/login/oidc/callback"
_SEE_OTHER = 303


class Oidc:
    """The two routes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def start(self, request: Request) -> Response:
        """Send the browser to the provider."""
        try:
            found = await self._engine.ask("GET", _ENGINE, client_of(request.scope))
        except Refused as refused:
            return refused.answer
        if not found.is_success:
            return _failed(found.status_code, _detail(found))
        provider = found.json()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        digest = hashlib.sha256(verifier.encode("ascii")).digest()
        query = {
            "response_type": "code",
            "client_id": provider["client_id"],
            "redirect_uri": _callback(request),
            "scope": " ".join(provider["scopes"]),
            "state": state,
            "nonce": nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).decode("ascii").rstrip("="),
            "code_challenge_method": "S256",
        }
        where = provider["authorization_endpoint"]
        answer = RedirectResponse(f"{where}{'&' if '?' in where else '?'}{urlencode(query)}", _SEE_OTHER)
        answer.headers.append("set-cookie", cookies.under_way(f"{state}.{nonce}.{verifier}"))
        return answer

    async def end(self, request: Request) -> Response:
        """The provider sent the browser back: with a code, or with an error."""
        answer = await self._ended(request)
        answer.headers.append("set-cookie", cookies.ended(cookies.UNDER_WAY))
        return answer

    async def _ended(self, request: Request) -> Response:
        kept = cookies.read(request.headers.get("cookie"), cookies.UNDER_WAY) or ""
        state, nonce, verifier = (kept.split(".") + ["", "", ""])[:3]
        asked = request.query_params
        if not state or not hmac.compare_digest(state.encode(), asked.get("state", "").encode()):
            return _failed(403, "This browser did not ask for it, or too long ago. Start again.")
        if "code" not in asked:
            return _failed(403, f"The provider refused: {asked.get('error', 'without a reason')[:100]}")
        body = {
            "code": asked["code"],
            "verifier": verifier,
            "nonce": nonce,
            "redirect_uri": _callback(request),
        }
        try:
            found = await self._engine.ask("POST", _ENGINE, client_of(request.scope), body)
        except Refused as refused:
            return refused.answer
        if not found.is_success:
            return _failed(found.status_code, _detail(found))
        signed_in = await opened(found)
        if signed_in.status_code >= 400:
            return signed_in
        answer = RedirectResponse("/", _SEE_OTHER)
        answer.headers.append("set-cookie", signed_in.headers["set-cookie"])
        return answer


def _callback(request: Request) -> str:
    """Where the provider sends back to; the Host header was checked before."""
    return f"https://{request.headers['host']}{CALLBACK}"


def _detail(found: httpx.Response) -> str:
    """Why the engine refused."""
    try:
        return str(found.json()["detail"])
    except (ValueError, TypeError, KeyError):
        return "The engine gave no reason; see its log."


def _failed(status: int, why: str) -> Response:
    text = f'<p>{escape(why)}</p>\n<p><a href="/login/oidc">Try again</a></p>'
    return page("Signing in did not work", text, status)
