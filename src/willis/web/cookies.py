"""The cookies: a session's, and the short one of a sign-in that is under way elsewhere. Pure.

``__Host-`` makes browsers refuse them unless they are Secure, for this host alone and the whole
of it (RFC 6265bis, 4.1.3.2).
"""

from __future__ import annotations

import re
from http.cookies import CookieError, SimpleCookie

SESSION = "__Host-willis"
UNDER_WAY = "__Host-willis-oidc"

_VALUE = re.compile(r"[A-Za-z0-9._-]{16,400}")
_MINUTES_S = 600


def read(header: str | None, name: str) -> str | None:
    """The value of a cookie; None: there is none, or it is none of ours."""
    try:
        found = SimpleCookie(header or "").get(name)
    except CookieError:
        return None
    return found.value if found is not None and _VALUE.fullmatch(found.value) else None


def session(value: str) -> str:
    """``Set-Cookie`` of a session; the engine says when it ends."""
    return f"{SESSION}={_sound(value)}; Path=/; Secure; HttpOnly; SameSite=Strict"


def under_way(value: str) -> str:
    """``Set-Cookie`` of a sign-in elsewhere. Lax, since it must come along when the provider sends back."""
    return f"{UNDER_WAY}={_sound(value)}; Path=/; Max-Age={_MINUTES_S}; Secure; HttpOnly; SameSite=Lax"


def ended(name: str) -> str:
    """``Set-Cookie`` that removes one."""
    same_site = "Strict" if name == SESSION else "Lax"
    return f"{name}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite={same_site}"


def _sound(value: str) -> str:
    """Raises ValueError for what could end the cookie early."""
    if not _VALUE.fullmatch(value):
        raise ValueError("a cookie's value has characters that it must not have")
    return value
