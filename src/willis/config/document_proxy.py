"""The part of the site document that layer 7 acts on (``document`` holds the rest)."""

from __future__ import annotations

import re

from willis.config.document_alerts import EMAIL
from willis.config.fields import Key, Many, Record, Variant
from willis.config.scalars import Choice, Duration, Flag, Integer, Name, Network, Size, Text
from willis.model.config import Acme, AcmeCertificate
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
from willis.model.proxy import (
    AddHeader,
    ClientCertificates,
    DeleteHeader,
    Deny,
    Dicom,
    Field,
    Forwarded,
    Http,
    KeepAlive,
    Limits,
    ProxyTimeouts,
    Redirect,
    ReplaceHeader,
    RewritePath,
    ServerTls,
    SetHeader,
    Side,
    TitleCertificate,
    TitleRoute,
    Tls,
    TlsPolicy,
    UsePool,
    When,
)

COOKIE = re.compile(r"\A[A-Za-z0-9_-]{1,32}\Z")
"""What a persistence cookie may be called: part of what RFC 6265 allows, and safe in any generated file."""

PORT = Integer(1, 65535)
_SERVICE = Name("service")
_STORED = Name("certificate")
_AUTHORITY = Name("authority")
_COOKIE = Name("cookie", COOKIE, "1 to 32 letters, digits, '_' or '-'")
_HEADER = Text(
    "header name", r"[A-Za-z0-9][A-Za-z0-9-]{0,63}", "1 to 64 letters, digits or '-'", "X-Department"
)
_VALUE = Text(
    "value",
    r"[A-Za-z0-9 !#&()*+,./:;<=>?@_{|}~^-]{1,500}",
    "1 to 500 printable characters without quotes, '\\', '$', '%', '[' and '`'",
    "radiology",
)
_EXPRESSION = Text(
    "regular expression",
    r"[\x20-\x26\x28-\x7e]{1,200}",
    "1 to 200 printable characters without the single quote",
    "^/wado/(.*)",
)
_REPLACEMENT = Text(
    "replacement",
    r"[A-Za-z0-9 !#&()*+,./:;<=>?@_{|}~^\\-]{1,200}",
    "up to 200 printable characters without quotes, '$', '%', '[' and '`'; \\1 is the first group",
    r"/dicom-web/\1",
)
_PATH = Text(
    "path", r"[A-Za-z0-9/._~!&()*+,;=:@-]{1,200}", "a part of a path, without quotes, '%' and '?'", "/viewer/"
)
_HOST = Text(
    "host name",
    r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?",
    "a host name, or *.DOMAIN",
    "pacs.example.org",
)
_DOMAIN = Text(
    "domain",
    r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?",
    "a host name",
    "pacs.example.org",
)
_METHOD = Text("method", r"[A-Z]{1,16}", "an HTTP method in capitals", "POST")
_WORD = Text(
    "value", r"[A-Za-z0-9 ._~/:@+=,;*-]{1,200}", "1 to 200 letters, digits and ' ._~/:@+=,;*-'", "ct1"
)
_TARGET = Text(
    "address",
    r"https?://[A-Za-z0-9.\[\]:-]{1,253}(/[A-Za-z0-9/._~!()*+,;=:@?#-]{0,500})?|/[A-Za-z0-9/._~!()*+,;=:@?#-]{0,500}",
    "an absolute URL, or a path, without quotes, '%' and '&'",
    "https://pacs.example.org",
)
_ELSEWHERE = Text(
    "address",
    r"https?://[A-Za-z0-9.\[\]:-]{1,253}(/[A-Za-z0-9/._~!()*+,;=:@?#-]{0,500})?",
    "an absolute URL without quotes, '%' and '&'",
    "https://status.example.org",
)
_URL = Text(
    "URL",
    r"https://[A-Za-z0-9.\[\]:-]{1,253}(/[A-Za-z0-9/._~=:@?&-]{0,500})?",
    "a URL that begins with https://",
    "https://ca.example.org/acme/directory",
)
_MEDIA = Text("media type", r"[a-z]+/[a-z0-9.+-]{1,80}", "a media type", "text/html")
_AE_TITLE = Text(
    "AE title",
    r"[A-Za-z0-9_.#/@:+&!-]{1,16}",
    "1 to 16 letters, digits and '_.#/@:+&!-', without spaces",
    "PACS1",
)
_COMMON_NAME = Text(
    "common name", r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,62}", "1 to 63 letters, digits and ' ._@-'", "ct1.example"
)


def _long(name: str, says: str, default: str) -> Key:
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
_KEPT = _long("timeout", "How long it is remembered after its last use.", "`30m`")

PERSISTENCE = Variant(
    "Persistence",
    "kind",
    {
        "source-ip": SOURCE_IP,
        "cookie": Record(
            "Persistence by cookie",
            (
                Key("name", _COOKIE, "What the cookie is called.", default="`SERVERID`"),
                Key(
                    "mode",
                    Choice(CookieMode),
                    "`insert` a cookie of its own that servers never see, `rewrite` the value of the "
                    "application's, or `prefix` that value with the server.",
                    default="`insert`",
                ),
                _long("idle", "Time without a request after which it no longer counts.", "`30m`"),
                _long("life", "Time after which it no longer counts, used or not.", "`12h`"),
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
                Key("name", _COOKIE, "The cookie that the application sets.", required=True),
                _KEPT,
                _OTHERWISE,
            ),
            makes=ApplicationCookiePersistence,
        ),
        "header": Record(
            "Persistence by header",
            (
                Key("name", _HEADER, "The request's header whose value counts.", required=True),
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
                _long("timeout", "How long it is remembered after its last association.", "`8h`"),
                _OTHERWISE,
            ),
            makes=TitlePersistence,
        ),
    },
)

WAITS = Record(
    "Proxy time-outs",
    (
        _long("connect", "For a real server to accept a connection.", "`5s`"),
        _long("request", "For a request's header, or an association's first PDU, to arrive.", "`10s`"),
        _long("response", "For an HTTP server that is silent while it works.", "`1h`"),
        _long("idle", "For a connection without a byte, where HTTP is not spoken.", "`12h`"),
        _long("keep-alive", "For an HTTP client's next request.", "`30s`"),
        _long("queue", "For a place at a server that is full.", "`30s`"),
    ),
    makes=ProxyTimeouts,
)

_MANY = Integer(1, 1_000_000)
LIMITS = Record(
    "Limits",
    (
        Key(
            "connections", _MANY, "Open at once, of all clients; more wait.", default="what the node carries"
        ),
        Key("per-client", _MANY, "Open at once of one address; more are refused.", default="none"),
        Key("connection-rate", _MANY, "New connections of one address within 10 s.", default="none"),
        Key("request-rate", _MANY, "HTTP requests of one address within 10 s; more get 429.", default="none"),
        Key("body", Size("1k", "1t"), "The largest body of an HTTP request; more gets 413.", default="none"),
        Key("per-server", _MANY, "Open at once to one real server; more wait in a queue.", default="none"),
        Key(
            "exempt",
            Many("network", Network(), most=64),
            "Networks whose addresses may do more, such as that of a gateway.",
            default="none",
        ),
    ),
    makes=Limits,
)

_FIELD = Record(
    "Name and value",
    (
        Key("name", _HEADER, "The name.", required=True),
        Key("value", _WORD, "The value that it must have.", required=True),
    ),
    makes=Field,
)
WHEN = Record(
    "Conditions",
    (
        Key(
            "hosts",
            Many("host name", _HOST, most=64, bare=True),
            "The host that is asked for.",
            default="any",
        ),
        Key("paths", Many("path", _PATH, most=64, bare=True), "The whole path.", default="any"),
        Key("path-begins", Many("path", _PATH, most=64, bare=True), "How the path begins.", default="any"),
        Key("path-ends", Many("path", _PATH, most=64, bare=True), "How the path ends.", default="any"),
        Key(
            "path-matches",
            Many("regular expression", _EXPRESSION, most=16, bare=True),
            "A regular expression for the path.",
            default="any",
        ),
        Key("queries", Many("name and value", _FIELD, most=16), "Parameters of the query.", default="any"),
        Key("headers", Many("name and value", _FIELD, most=16), "Headers.", default="any"),
        Key("methods", Many("method", _METHOD, most=16, bare=True), "Methods.", default="any"),
        Key("sources", Many("network", Network(), most=64, bare=True), "Clients' networks.", default="any"),
    ),
    makes=When,
)
_WHEN = Key("when", WHEN, "All of these must hold, each by any of its values.", default="always")
_ON = Key("on", Choice(Side), "The client's request or the server's response.", default="`request`")
_NAME = Key("name", _HEADER, "The header.", required=True)

RULE = Variant(
    "Rule",
    "do",
    {
        "use-pool": Record(
            "Use pool",
            (Key("service", _SERVICE, "The service whose pool serves.", required=True), _WHEN),
            makes=UsePool,
        ),
        "set-header": Record(
            "Set header",
            (_NAME, Key("value", _VALUE, "Its only value.", required=True), _ON, _WHEN),
            makes=SetHeader,
        ),
        "add-header": Record(
            "Add header",
            (_NAME, Key("value", _VALUE, "One more value.", required=True), _ON, _WHEN),
            makes=AddHeader,
        ),
        "replace-header": Record(
            "Replace header",
            (
                _NAME,
                Key("matches", _EXPRESSION, "A regular expression.", required=True),
                Key("value", _REPLACEMENT, "What stands instead of the whole.", required=True),
                _ON,
                _WHEN,
            ),
            makes=ReplaceHeader,
        ),
        "delete-header": Record("Delete header", (_NAME, _ON, _WHEN), makes=DeleteHeader),
        "rewrite-path": Record(
            "Rewrite path",
            (
                Key("matches", _EXPRESSION, "A regular expression for the path.", required=True),
                Key("to", _REPLACEMENT, "What stands instead of the whole.", required=True),
                _WHEN,
            ),
            makes=RewritePath,
        ),
        "redirect": Record(
            "Redirect",
            (
                Key("to", _TARGET, "An absolute URL, or a path.", required=True),
                Key("keep-path", Flag(), "Append the request's own path and query.", default="`false`"),
                Key("status", Integer(301, 308), "301, 302, 303, 307 or 308.", default="`302`"),
                _WHEN,
            ),
            makes=Redirect,
        ),
        "deny": Record(
            "Deny",
            (Key("status", Integer(400, 499), "What the client is told.", default="`403`"), _WHEN),
            makes=Deny,
        ),
    },
)

HTTP = Record(
    "HTTP",
    (
        Key("http2", Flag(), "Offer HTTP/2 to clients, over TLS.", default="`true`"),
        Key("http2-to-servers", Flag(), "Speak HTTP/2 to real servers.", default="`false`"),
        Key(
            "keep-alive",
            Choice(KeepAlive),
            "Whether connections serve several requests: on `both` sides, the `client`'s only, or `none`.",
            default="`both`",
        ),
        Key(
            "forwarded",
            Choice(Forwarded),
            "How servers learn of the client: X-Forwarded-For, -Host, -Proto and -Port; RFC 7239's "
            "Forwarded; both, or none.",
            default="`x-forwarded`",
        ),
        Key(
            "trust",
            Many("network", Network(), most=64),
            "Proxies in front whose word on the client is kept and continued; of others it is replaced.",
            default="none",
        ),
        Key("prefix", _PATH, "What X-Forwarded-Prefix says.", default="none"),
        Key(
            "compress",
            Many("media type", _MEDIA, most=32),
            "Media types to compress; images are already.",
            default="none",
        ),
        Key(
            "https-from",
            Many("port", PORT, most=8, bare=True),
            "Ports of the VIP that only send browsers on to HTTPS.",
            default="none",
        ),
        Key(
            "hsts",
            Duration("1s", "730d", whole=True),
            "How long browsers shall insist on HTTPS.",
            default="off",
        ),
        Key(
            "sorry",
            _ELSEWHERE,
            "Where clients are sent while no server can serve.",
            default="a page of Willis' own",
        ),
        Key("rules", Many("rule", RULE, most=256), "What is done with requests, in order.", default="none"),
    ),
    makes=Http,
)

TLS = Record(
    "TLS towards clients",
    (
        Key(
            "certificates",
            Many("certificate", _STORED, most=12, bare=True),
            "Names in the certificate store, chosen by the host that a client asks for; the first is for "
            "the rest.",
            required=True,
        ),
        Key(
            "policy",
            Choice(TlsPolicy),
            "Mozilla's `modern` or `intermediate`, or DICOM's `bcp195` or `modified-bcp195`.",
            default="`intermediate`",
        ),
        Key(
            "clients",
            Record(
                "Client certificates",
                (
                    Key("authority", _AUTHORITY, "Who signed them, by name in the store.", required=True),
                    Key("required", Flag(), "Refuse clients without one.", default="`true`"),
                    Key(
                        "names",
                        Many("common name", _COMMON_NAME, most=256),
                        "Common names that may enter.",
                        default="any that the authority signed",
                    ),
                ),
                makes=ClientCertificates,
            ),
            "Clients must prove who they are.",
            default="none are asked for",
        ),
    ),
    makes=Tls,
)
SERVER_TLS = Record(
    "TLS towards real servers",
    (
        Key("authority", _AUTHORITY, "Who signed theirs, by name in the store.", default="the system's"),
        Key("verify", Flag(), "Refuse servers that cannot prove who they are.", default="`true`"),
        Key("name", _DOMAIN, "The name to ask for, and to find in the certificate.", default="the address"),
        Key("certificate", _STORED, "What the node proves itself with.", default="none"),
    ),
    makes=ServerTls,
)

_TITLES = Many("AE title", _AE_TITLE, most=512, bare=True)
DICOM = Record(
    "DICOM",
    (
        Key("called", _TITLES, "AE titles that may be called.", default="any"),
        Key("calling", _TITLES, "AE titles that may call.", default="any"),
        Key(
            "routes",
            Many(
                "route",
                Record(
                    "Route",
                    (
                        Key("called", _TITLES, "AE titles that are called.", required=True),
                        Key("service", _SERVICE, "The service whose pool serves.", required=True),
                    ),
                    makes=TitleRoute,
                ),
                most=256,
            ),
            "Which called AE title leads to which service's pool.",
            default="none",
        ),
        Key("rename", _AE_TITLE, "The called AE title that real servers see.", default="the client's word"),
        Key(
            "per-calling",
            _MANY,
            "Associations open at once of one calling AE title; more wait.",
            default="none",
        ),
        Key(
            "certificates",
            Many(
                "binding",
                Record(
                    "Binding",
                    (
                        Key("calling", _AE_TITLE, "An AE title.", required=True),
                        Key("name", _COMMON_NAME, "The common name of its certificate.", required=True),
                    ),
                    makes=TitleCertificate,
                ),
                most=512,
            ),
            "AE titles that only the holder of a client certificate may call from; others may not call.",
            default="none",
        ),
        Key("validate", Flag(), "Refuse what does not begin as an association.", default="`true`"),
    ),
    makes=Dicom,
)

ACME = Record(
    "ACME",
    (
        Key("directory", _URL, "The authority's URL.", required=True),
        Key("contact", EMAIL, "Whom the authority may write to.", default="nobody"),
        Key("authority", _AUTHORITY, "Who signed the directory's own certificate.", default="the system's"),
        Key(
            "certificates",
            Many(
                "certificate",
                Record(
                    "Certificate",
                    (
                        Key("name", _STORED, "Its name in the store.", required=True),
                        Key(
                            "domains",
                            Many("domain", _DOMAIN, most=100, bare=True),
                            "The host names that it is for.",
                            required=True,
                        ),
                    ),
                    makes=AcmeCertificate,
                ),
                most=256,
            ),
            "What is ordered, and renewed in time.",
            required=True,
        ),
    ),
    makes=Acme,
)
