"""What keeps a client on its real server, and for how long. Every value is frozen."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class SourcePersistence:
    """A client keeps its real server until ``timeout_s`` without a new connection."""

    timeout_s: int = 300
    """Seconds, 1 to 86,400."""
    mask: int = 32
    """Prefix length applied to the client's address: 32 one IPv4 client (1 to 32; IPv6: 1 to 128)."""


class CookieMode(StrEnum):
    """``insert`` a cookie of the proxy's, ``rewrite`` the value of the application's, or ``prefix`` it."""

    INSERT = "insert"
    REWRITE = "rewrite"
    PREFIX = "prefix"


class SameSite(StrEnum):
    """Whether a browser sends the cookie with requests from other sites (RFC 6265bis)."""

    LAX = "lax"
    STRICT = "strict"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class CookiePersistence:
    """A browser keeps its real server by a cookie (HTTP only)."""

    name: str = "SERVERID"
    idle_s: int = 30 * 60
    """Seconds without a request after which the cookie no longer counts (``insert`` only)."""
    life_s: int = 12 * 3600
    """Seconds after which the cookie no longer counts, used or not (``insert`` only)."""
    mode: CookieMode = CookieMode.INSERT
    secure: bool | None = None
    """Sent over TLS only; None: where the service has TLS."""
    http_only: bool = True
    """Hidden from the page's scripts."""
    same_site: SameSite | None = None
    """None: the browser's own rule."""
    otherwise: SourcePersistence | None = None
    """What keeps a client that has no cookie."""


@dataclass(frozen=True, slots=True)
class ApplicationCookiePersistence:
    """A client keeps its real server by a cookie that the application sets (HTTP only)."""

    name: str
    timeout_s: int = 30 * 60
    otherwise: SourcePersistence | None = None


@dataclass(frozen=True, slots=True)
class HeaderPersistence:
    """Requests with the same value in a header go to the same real server (HTTP only)."""

    name: str
    timeout_s: int = 30 * 60
    otherwise: SourcePersistence | None = None


@dataclass(frozen=True, slots=True)
class TlsSessionPersistence:
    """A client keeps its real server by the TLS session that it resumes, TLS being ended by the server."""

    timeout_s: int = 30 * 60
    otherwise: SourcePersistence | None = None


class Title(StrEnum):
    """Which AE title of an association counts (PS3.8, 9.3.2): the client's or the wanted one."""

    CALLING = "calling"
    CALLED = "called"


@dataclass(frozen=True, slots=True)
class TitlePersistence:
    """Associations with the same AE title go to the same real server (DICOM only)."""

    title: Title = Title.CALLING
    timeout_s: int = 8 * 3600
    otherwise: SourcePersistence | None = None


Persistence = (
    SourcePersistence
    | CookiePersistence
    | ApplicationCookiePersistence
    | HeaderPersistence
    | TlsSessionPersistence
    | TitlePersistence
)
