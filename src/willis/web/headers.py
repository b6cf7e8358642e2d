"""Which headers pass, in both directions, and which stand on every answer. Pure.

Towards the engine only what it understands passes. So nothing that speaks about the client, the
path or the method (``X-Forwarded-*``, ``X-Original-URL``, ``X-HTTP-Method-Override`` ...) gets
there, hop-by-hop headers neither, and a client cannot strip one by naming it in ``Connection``.
"""

from __future__ import annotations

from collections.abc import Iterable

Header = tuple[bytes, bytes]

CLIENT = b"willis-client"
"""Says which address asks; set here alone."""

_TOWARDS_ENGINE = frozenset(
    {
        b"accept",
        b"authorization",
        b"content-type",
        b"idempotency-key",
        b"if-match",
        b"if-none-match",
        b"last-event-id",
        b"prefer",
        b"x-request-id",
    }
)
_NOT_BACK = frozenset(
    {
        b"connection",
        b"date",
        b"keep-alive",
        b"proxy-authenticate",
        b"server",
        b"set-cookie",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Hop-by-hop headers (RFC 9110, 7.6.1), and what only this process sets."""

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_ALWAYS: tuple[Header, ...] = (
    (b"content-security-policy", _POLICY.encode()),
    (b"strict-transport-security", b"max-age=31536000"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_OURS = frozenset(name for name, _ in _ALWAYS)


def towards_engine(headers: Iterable[Header], client: str, session: str | None) -> list[Header]:
    """What the engine gets to see. ``session``: of the cookie; an ``Authorization`` header wins over it."""
    passed = [(name.lower(), value) for name, value in headers if name.lower() in _TOWARDS_ENGINE]
    if session is not None and all(name != b"authorization" for name, _ in passed):
        passed.append((b"authorization", f"Willis-Session {session}".encode("ascii")))
    return [*passed, (CLIENT, client.encode("ascii"))]


def towards_client(headers: Iterable[Header]) -> list[Header]:
    """What a client gets to see of the engine's answer."""
    return [(name.lower(), value) for name, value in headers if name.lower() not in _NOT_BACK]


def secured(headers: Iterable[Header]) -> list[Header]:
    """The headers of any answer, with those that always stand there."""
    return [*((name, value) for name, value in headers if name not in _OURS), *_ALWAYS]
