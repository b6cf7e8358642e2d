"""What a service of layer 7 may ask of the proxy besides its pool. Every value is frozen.

Every class without arguments is what a service gets that asks for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class ProxyTimeouts:
    """How long the proxy waits. Seconds, 1 to 2,592,000 (30 days)."""

    connect_s: int = 5
    """For a real server to accept."""
    request_s: int = 10
    """For the header of an HTTP request, or the first PDU of an association, to arrive whole."""
    response_s: int = 3600
    """For an HTTP server that is silent: a long C-MOVE or a big STOW-RS lets it work for minutes."""
    idle_s: int = 12 * 3600
    """For a silent connection: associations idle for hours between two studies."""
    keep_alive_s: int = 30
    """For the next request of an idle HTTP client."""
    queue_s: int = 30
    """For a place at a server that has all the connections it may have."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may ask for; None: as much as the node carries."""

    connections: int | None = None
    """Open at once, of all clients. More wait in the kernel."""
    per_client: int | None = None
    """Connections open at once of one address."""
    connection_rate: int | None = None
    """New connections of one address within 10 s."""
    request_rate: int | None = None
    """HTTP requests of one address within 10 s."""
    body: int | None = None
    """Bytes of an HTTP request's body."""
    per_server: int | None = None
    """Connections open at once to one real server. More wait in a queue."""
    exempt: tuple[Network, ...] = ()
    """Networks that the limits of one address do not bind."""


class ProxyProtocol(StrEnum):
    """The version of HAProxy's PROXY protocol that tells servers who the client is."""

    V1 = "v1"
    V2 = "v2"


class Side(StrEnum):
    REQUEST = "request"
    RESPONSE = "response"


@dataclass(frozen=True, slots=True)
class Field:
    """A name with the value that it must have: of a header or in a query."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class When:
    """Which requests a rule is for: every condition that is given must hold, by any of its values."""

    hosts: tuple[str, ...] = ()
    """Whole host names, or ``*.example.org``."""
    paths: tuple[str, ...] = ()
    path_begins: tuple[str, ...] = ()
    path_ends: tuple[str, ...] = ()
    path_matches: tuple[str, ...] = ()
    """Regular expressions."""
    queries: tuple[Field, ...] = ()
    headers: tuple[Field, ...] = ()
    methods: tuple[str, ...] = ()
    sources: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class UsePool:
    """Send the request to the pool of another service."""

    service: str
    when: When = When()


@dataclass(frozen=True, slots=True)
class SetHeader:
    """Make ``name`` have this one value."""

    name: str
    value: str
    on: Side = Side.REQUEST
    when: When = When()


@dataclass(frozen=True, slots=True)
class AddHeader:
    """Add one more line of this name."""

    name: str
    value: str
    on: Side = Side.REQUEST
    when: When = When()


@dataclass(frozen=True, slots=True)
class ReplaceHeader:
    """Replace a header's whole value where a regular expression matches; ``\\1`` is its first group."""

    name: str
    matches: str
    value: str
    on: Side = Side.REQUEST
    when: When = When()


@dataclass(frozen=True, slots=True)
class DeleteHeader:
    name: str
    on: Side = Side.REQUEST
    when: When = When()


@dataclass(frozen=True, slots=True)
class RewritePath:
    """Replace the whole path where a regular expression matches; ``\\1`` is its first group."""

    matches: str
    to: str
    when: When = When()


@dataclass(frozen=True, slots=True)
class Redirect:
    """Answer with another address."""

    to: str
    """An absolute URL, or a path."""
    keep_path: bool = False
    """Append the request's own path and query."""
    status: int = 302
    """301, 302, 303, 307 or 308."""
    when: When = When()


@dataclass(frozen=True, slots=True)
class Deny:
    """Answer with an error."""

    status: int = 403
    """400 to 499."""
    when: When = When()


Rule = UsePool | SetHeader | AddHeader | ReplaceHeader | DeleteHeader | RewritePath | Redirect | Deny


class KeepAlive(StrEnum):
    """Whether connections serve several requests: on ``both`` sides, the ``client``'s only, or ``none``."""

    BOTH = "both"
    CLIENT = "client"
    NONE = "none"


class Forwarded(StrEnum):
    """How servers are told of the client: ``x-forwarded`` headers, ``rfc7239``, ``both`` or ``none``."""

    X_FORWARDED = "x-forwarded"
    RFC7239 = "rfc7239"
    BOTH = "both"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Http:
    """What HTTP services may ask for."""

    http2: bool = True
    """Offer HTTP/2 to clients, over TLS."""
    http2_to_servers: bool = False
    keep_alive: KeepAlive = KeepAlive.BOTH
    forwarded: Forwarded = Forwarded.X_FORWARDED
    trust: tuple[Network, ...] = ()
    """Proxies in front of us, whose word on the client's address is kept and continued."""
    prefix: str | None = None
    """What X-Forwarded-Prefix says."""
    compress: tuple[str, ...] = ()
    """Media types to compress. None by default: images are compressed already."""
    https_from: tuple[int, ...] = ()
    """Ports of the VIP that only send browsers on to HTTPS."""
    hsts_s: int | None = None
    """Seconds for which browsers shall insist on HTTPS (RFC 6797)."""
    sorry: str | None = None
    """Where clients are sent while no server can serve; None: a page of Willis' own."""
    rules: tuple[Rule, ...] = ()
    """In order; the first that sends away, denies or chooses a pool ends the list."""


class TlsPolicy(StrEnum):
    """Mozilla's two profiles, and the two of DICOM (PS3.15, B.12 and B.13)."""

    MODERN = "modern"
    INTERMEDIATE = "intermediate"
    BCP195 = "bcp195"
    MODIFIED_BCP195 = "modified-bcp195"


@dataclass(frozen=True, slots=True)
class ClientCertificates:
    """Whom clients must prove to be (mutual TLS)."""

    authority: str
    """The name of the authorities in the certificate store."""
    required: bool = True
    names: tuple[str, ...] = ()
    """Common names that may enter; none: any that the authority signed."""


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS towards clients."""

    certificates: tuple[str, ...]
    """Names in the certificate store; the first serves clients that name no host."""
    policy: TlsPolicy = TlsPolicy.INTERMEDIATE
    clients: ClientCertificates | None = None


@dataclass(frozen=True, slots=True)
class ServerTls:
    """TLS towards real servers."""

    authority: str | None = None
    """Whose certificates count, by name in the store; None: the system's authorities."""
    verify: bool = True
    name: str | None = None
    """The name to ask for and to find in the certificate; None: that of each host's address."""
    certificate: str | None = None
    """What the node proves itself with, by name in the store."""


@dataclass(frozen=True, slots=True)
class TitleRoute:
    """Associations that call one of these AE titles go to the pool of another service."""

    called: tuple[str, ...]
    service: str


@dataclass(frozen=True, slots=True)
class TitleCertificate:
    """An AE title that only the holder of a certificate with this common name may call from."""

    calling: str
    name: str


@dataclass(frozen=True, slots=True)
class Dicom:
    """What DICOM services may ask for. AE titles are 1 to 16 characters (PS3.5, 6.2)."""

    called: tuple[str, ...] = ()
    """AE titles that may be called; none: any."""
    calling: tuple[str, ...] = ()
    """AE titles that may call; none: any."""
    routes: tuple[TitleRoute, ...] = ()
    rename: str | None = None
    """The called AE title that real servers see; None: the client's own word."""
    per_calling: int | None = None
    """Associations open at once of one calling AE title. More wait."""
    certificates: tuple[TitleCertificate, ...] = ()
    validate: bool = True
    """Refuse what does not begin as an association before it reaches a server."""
