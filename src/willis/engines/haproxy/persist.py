"""Persistence: cookies, stick tables and what stands in where a client has neither. Pure.

A backend holds one stick table. A second one, for ``otherwise``, is held by a backend
aside that serves nobody. The first rule that knows a client wins; a cookie wins over both.
"""

from __future__ import annotations

from willis.engines.haproxy import write
from willis.engines.haproxy.idioms import Phrase
from willis.engines.haproxy.kind import is_http
from willis.engines.haproxy.write import Token, Writer
from willis.model.persistence import (
    ApplicationCookiePersistence,
    CookieMode,
    CookiePersistence,
    HeaderPersistence,
    Persistence,
    SameSite,
    SourcePersistence,
    Title,
    TitlePersistence,
    TlsSessionPersistence,
)
from willis.model.service import VirtualService

_LONGEST_S = 30 * 86_400
_ASIDE = "source"
_HELLO_S = 10
"""How long each side may take to say its first TLS record."""


def keeps_cookie(service: VirtualService) -> bool:
    """Whether servers are known by a cookie of the proxy's."""
    return is_http(service) and isinstance(service.persistence, CookiePersistence)


def pool(writer: Writer, service: VirtualService) -> None:
    """The backend's lines."""
    kept = service.persistence
    match kept:
        case CookiePersistence():
            if is_http(service):
                _cookie(writer, service, kept)
        case SourcePersistence():
            _table(writer, write.keywords(_address_type(service)), kept.timeout_s)
            writer.line("stick on", write.mask(service.vip, kept.mask))
        case ApplicationCookiePersistence():
            _table(writer, write.keywords("string len 64"), kept.timeout_s)
            writer.line("stick on", write.fetched("req.cook", kept.name))
            writer.line("stick store-response", write.fetched("res.cook", kept.name))
        case HeaderPersistence():
            _table(writer, write.keywords("string len 64"), kept.timeout_s)
            writer.line("stick on", write.fetched("req.hdr", kept.name))
        case TlsSessionPersistence():
            _tls_session(writer, kept)
        case TitlePersistence():
            _table(writer, write.keywords("string len 16"), kept.timeout_s)
            calling = kept.title is Title.CALLING
            writer.line("stick on", write.phrase(Phrase.CALLING if calling else Phrase.CALLED))
    otherwise = _otherwise(service)
    if otherwise is not None:
        where = (write.keywords("table"), write.aside(_ASIDE, service.name))
        writer.line("stick on", write.mask(service.vip, otherwise.mask), *where, *_without(kept))


def tables(writer: Writer, service: VirtualService) -> None:
    """Backends that only hold a further stick table of the service."""
    otherwise = _otherwise(service)
    if otherwise is not None:
        writer.section("backend", write.aside(_ASIDE, service.name), write.keywords("from willis-tcp"))
        _table(writer, write.keywords(_address_type(service)), otherwise.timeout_s)


def _otherwise(service: VirtualService) -> SourcePersistence | None:
    kept = service.persistence
    return None if kept is None or isinstance(kept, SourcePersistence) else kept.otherwise


def _without(kept: Persistence | None) -> tuple[Token, ...]:
    """Who has none of it; else one gateway's address would tie all that passes it to one server."""
    match kept:
        case CookiePersistence() | ApplicationCookiePersistence():
            return (write.unless_found(write.fetched("req.cook", kept.name)),)
        case HeaderPersistence():
            return (write.unless_found(write.fetched("req.hdr", kept.name)),)
        case TitlePersistence():
            calling = kept.title is Title.CALLING
            return (write.unless_found(write.phrase(Phrase.CALLING if calling else Phrase.CALLED)),)
        case _:
            return ()


def _address_type(service: VirtualService) -> str:
    return "ip" if service.vip.version == 4 else "ipv6"


def _table(writer: Writer, kind: Token, timeout_s: int) -> None:
    writer.line(
        "stick-table type",
        kind,
        write.keywords("size 100k expire"),
        write.seconds(timeout_s),
        write.keywords("peers willis"),
    )


_SAME_SITE = {SameSite.LAX: Phrase.LAX, SameSite.STRICT: Phrase.STRICT, SameSite.NONE: Phrase.NONE}


def _cookie(writer: Writer, service: VirtualService, kept: CookiePersistence) -> None:
    words = [write.cookie_name(kept.name)]
    if kept.mode is CookieMode.INSERT:
        words += [
            write.keywords("insert indirect nocache maxidle"),
            write.number(kept.idle_s, 1, _LONGEST_S),
            write.keywords("maxlife"),
            write.number(kept.life_s, 1, _LONGEST_S),
        ]
    else:
        words.append(write.keywords(f"{kept.mode} nocache"))
    if kept.http_only:
        words.append(write.keywords("httponly"))
    if kept.secure if kept.secure is not None else service.tls is not None:
        words.append(write.keywords("secure"))
    if kept.same_site is not None:
        words.append(write.phrase(_SAME_SITE[kept.same_site]))
    writer.line("cookie", *words)


def _tls_session(writer: Writer, kept: TlsSessionPersistence) -> None:
    """The id that a server gives and a client resumes with (RFC 5246, 7.4.1.3).

    In TLS 1.3 the client makes it up anew each time and the server only repeats it (RFC 8446, 4.1.3).
    """
    _table(writer, write.keywords("binary len 32"), kept.timeout_s)
    hello, answer = write.phrase(Phrase.IF_CLIENT_HELLO), write.phrase(Phrase.IF_SERVER_HELLO)
    writer.line("tcp-request inspect-delay", write.seconds(_HELLO_S))
    writer.line("tcp-request content accept", hello)
    # Without a delay HAProxy looks once, before the answer is there.
    writer.line("tcp-response inspect-delay", write.seconds(_HELLO_S))
    writer.line("tcp-response content accept", answer)
    writer.line("stick match", write.phrase(Phrase.SESSION_ID), hello)
    writer.line(
        "stick store-response", write.phrase(Phrase.SESSION_ID), answer, write.phrase(Phrase.NO_TLS_13)
    )
