"""The part of the site document that ties clients to real servers."""

from __future__ import annotations

from willis.config.fields import Key, Record, Variant
from willis.config.scalars import Choice, Duration, Flag, Integer
from willis.config.words import COOKIE, HEADER
from willis.model.persistence import (
    ApplicationCookiePersistence,
    CookieMode,
    CookiePersistence,
    HeaderPersistence,
    SameSite,
    SourcePersistence,
    Title,
    TitlePersistence,
    TlsSessionPersistence,
)


def long_time(name: str, says: str, default: str) -> Key:
    """A key for a time from a second to 30 days."""
    return Key(name, Duration("1s", "30d", whole=True), says, default=default)


SOURCE_IP = Record(
    "Persistence by source address",
    (
        Key(
            "timeout",
            Duration("1s", "24h", whole=True),
            "How long a client without a new connection keeps its real server.",
            default="`5m`",
        ),
        Key(
            "mask",
            Integer(1, 128),
            "Prefix of the client's address that counts; less joins neighbours. IPv4: at most 32.",
            default="the whole address",
        ),
    ),
    makes=SourcePersistence,
)
_OTHERWISE = Key(
    "otherwise", SOURCE_IP, "Persistence by source address for clients that have none of it.", default="none"
)
_KEPT = long_time("timeout", "How long it is remembered after its last use.", "`30m`")

PERSISTENCE = Variant(
    "Persistence",
    "kind",
    {
        "source-ip": SOURCE_IP,
        "cookie": Record(
            "Persistence by cookie",
            (
                Key("name", COOKIE, "What the cookie is called.", default="`SERVERID`"),
                Key(
                    "mode",
                    Choice(CookieMode),
                    "`insert` a cookie of its own that servers never see, `rewrite` the value of the "
                    "application's, or `prefix` that value with the server.",
                    default="`insert`",
                ),
                long_time("idle", "Time without a request after which it no longer counts.", "`30m`"),
                long_time("life", "Time after which it no longer counts, used or not.", "`12h`"),
                Key("secure", Flag(), "Browsers send it over TLS only.", default="`true` with `tls`"),
                Key("http-only", Flag(), "Scripts of the page cannot read it.", default="`true`"),
                Key(
                    "same-site",
                    Choice(SameSite),
                    "Whether it goes along with requests from other sites.",
                    default="the browser's rule",
                ),
                _OTHERWISE,
            ),
            makes=CookiePersistence,
        ),
        "application-cookie": Record(
            "Persistence by the application's cookie",
            (
                Key("name", COOKIE, "The cookie that the application sets.", required=True),
                _KEPT,
                _OTHERWISE,
            ),
            makes=ApplicationCookiePersistence,
        ),
        "header": Record(
            "Persistence by header",
            (
                Key("name", HEADER, "The request's header whose value counts.", required=True),
                _KEPT,
                _OTHERWISE,
            ),
            makes=HeaderPersistence,
        ),
        "tls-session": Record("Persistence by TLS session", (_KEPT, _OTHERWISE), makes=TlsSessionPersistence),
        "ae-title": Record(
            "Persistence by AE title",
            (
                Key("title", Choice(Title), "Which AE title counts.", default="`calling`"),
                long_time("timeout", "How long it is remembered after its last association.", "`8h`"),
                _OTHERWISE,
            ),
            makes=TitlePersistence,
        ),
    },
)
