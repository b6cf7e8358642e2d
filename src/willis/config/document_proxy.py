"""The part of the site document that layer 7 acts on: time-outs, limits, HTTP and its rules, DICOM."""

from __future__ import annotations

from willis.config.addresses import Network
from willis.config.document_persistence import long_time
from willis.config.fields import Key, Many, Record, Variant
from willis.config.scalars import Choice, Duration, Flag, Integer, Size
from willis.config.words import (
    AE_TITLE,
    COMMON_NAME,
    ELSEWHERE,
    EXPRESSION,
    HEADER,
    HOST,
    MEDIA,
    METHOD,
    PATH,
    PORT,
    REPLACEMENT,
    SERVICE,
    TARGET,
    VALUE,
    WORD,
)
from willis.model.proxy import (
    AddHeader,
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
    SetHeader,
    Side,
    TitleCertificate,
    TitleRoute,
    UsePool,
    When,
)

WAITS = Record(
    "Proxy time-outs",
    (
        long_time("connect", "For a real server to accept a connection.", "`5s`"),
        long_time("request", "For a request's header, or an association's first PDU, to arrive.", "`10s`"),
        long_time("response", "For an HTTP server that is silent while it works.", "`1h`"),
        long_time("idle", "For a connection without a byte, where HTTP is not spoken.", "`12h`"),
        long_time("keep-alive", "For an HTTP client's next request.", "`30s`"),
        long_time("queue", "For a place at a server that is full.", "`30s`"),
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
        Key("name", HEADER, "The name.", required=True),
        Key("value", WORD, "The value that it must have.", required=True),
    ),
    makes=Field,
)
WHEN = Record(
    "Conditions",
    (
        Key(
            "hosts",
            Many("host name", HOST, most=64, bare=True),
            "The host that is asked for.",
            default="any",
        ),
        Key("paths", Many("path", PATH, most=64, bare=True), "The whole path.", default="any"),
        Key("path-begins", Many("path", PATH, most=64, bare=True), "How the path begins.", default="any"),
        Key("path-ends", Many("path", PATH, most=64, bare=True), "How the path ends.", default="any"),
        Key(
            "path-matches",
            Many("regular expression", EXPRESSION, most=16, bare=True),
            "A regular expression for the path.",
            default="any",
        ),
        Key("queries", Many("name and value", _FIELD, most=16), "Parameters of the query.", default="any"),
        Key("headers", Many("name and value", _FIELD, most=16), "Headers.", default="any"),
        Key("methods", Many("method", METHOD, most=16, bare=True), "Methods.", default="any"),
        Key("sources", Many("network", Network(), most=64, bare=True), "Clients' networks.", default="any"),
    ),
    makes=When,
)
_WHEN = Key("when", WHEN, "All of these must hold, each by any of its values.", default="always")
_ON = Key("on", Choice(Side), "The client's request or the server's response.", default="`request`")
_NAME = Key("name", HEADER, "The header.", required=True)

RULE = Variant(
    "Rule",
    "do",
    {
        "use-pool": Record(
            "Use pool",
            (Key("service", SERVICE, "The service whose pool serves.", required=True), _WHEN),
            makes=UsePool,
        ),
        "set-header": Record(
            "Set header",
            (_NAME, Key("value", VALUE, "Its only value.", required=True), _ON, _WHEN),
            makes=SetHeader,
        ),
        "add-header": Record(
            "Add header",
            (_NAME, Key("value", VALUE, "One more value.", required=True), _ON, _WHEN),
            makes=AddHeader,
        ),
        "replace-header": Record(
            "Replace header",
            (
                _NAME,
                Key("matches", EXPRESSION, "A regular expression.", required=True),
                Key("value", REPLACEMENT, "What stands instead of the whole.", required=True),
                _ON,
                _WHEN,
            ),
            makes=ReplaceHeader,
        ),
        "delete-header": Record("Delete header", (_NAME, _ON, _WHEN), makes=DeleteHeader),
        "rewrite-path": Record(
            "Rewrite path",
            (
                Key("matches", EXPRESSION, "A regular expression for the path.", required=True),
                Key("to", REPLACEMENT, "What stands instead of the whole.", required=True),
                _WHEN,
            ),
            makes=RewritePath,
        ),
        "redirect": Record(
            "Redirect",
            (
                Key("to", TARGET, "An absolute URL, or a path.", required=True),
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
        Key("prefix", PATH, "What X-Forwarded-Prefix says.", default="none"),
        Key(
            "compress",
            Many("media type", MEDIA, most=32),
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
            ELSEWHERE,
            "Where clients are sent while no server can serve.",
            default="a page of Willis' own",
        ),
        Key("rules", Many("rule", RULE, most=256), "What is done with requests, in order.", default="none"),
    ),
    makes=Http,
)

_TITLES = Many("AE title", AE_TITLE, most=512, bare=True)
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
                        Key("service", SERVICE, "The service whose pool serves.", required=True),
                    ),
                    makes=TitleRoute,
                ),
                most=256,
            ),
            "Which called AE title leads to which service's pool.",
            default="none",
        ),
        Key("rename", AE_TITLE, "The called AE title that real servers see.", default="the client's word"),
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
                        Key("calling", AE_TITLE, "An AE title.", required=True),
                        Key("name", COMMON_NAME, "The common name of its certificate.", required=True),
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
