"""Virtual services and what they are made of: the nouns an administrator writes.

Every value is frozen. Names are ids: they match ``NAME`` and may stand in a
generated file as they are; free text never enters the model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from willis.model.check import Check
from willis.model.feedback import Feedback
from willis.model.persistence import Persistence
from willis.model.proxy import Dicom, Http, Limits, ProxyProtocol, ProxyTimeouts, ServerTls, Tls

NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")
"""What a name of a site, interface, host or service may be (1 to 63 characters)."""

Address = IPv4Address | IPv6Address


class Forwarding(StrEnum):
    """How a packet gets from the VIP to the real server.

    ``tun`` is a word of the document that no engine carries; a config that was loaded
    never holds it.
    """

    DR = "dr"
    NAT = "nat"
    SNAT = "snat"
    TUN = "tun"
    PROXY = "proxy"

    @property
    def layer(self) -> int:
        """4 where packets are forwarded, 7 where a proxy ends the connection."""
        return 7 if self is Forwarding.PROXY else 4


TRANSLATED = (Forwarding.NAT, Forwarding.SNAT)
"""The modes in which packets get another address on their way."""


class Protocol(StrEnum):
    """The transport protocol that the VIP listens on."""

    TCP = "tcp"
    UDP = "udp"


class Application(StrEnum):
    """What is spoken inside the connection. Layer 7 and the twin act on it."""

    GENERIC = "generic"
    DICOM = "dicom"
    MWL = "mwl"
    HL7 = "hl7"
    MINT = "mint"
    HTTP = "http"

    @property
    def is_http(self) -> bool:
        return self in (Application.HTTP, Application.MINT)

    @property
    def is_dicom(self) -> bool:
        return self in (Application.DICOM, Application.MWL)


class Scheduler(StrEnum):
    """How a pool chooses the real server of a new connection.

    ``wrr`` weighted round robin, ``wlc`` weighted least connections,
    ``sh`` hash of the source address, ``mh`` Maglev hash of address and port.
    """

    WRR = "wrr"
    WLC = "wlc"
    SH = "sh"
    MH = "mh"


@dataclass(frozen=True, slots=True)
class Need:
    """What a host cannot work without, such as the database behind an archive."""

    name: str
    address: Address
    port: int


@dataclass(frozen=True, slots=True)
class Watermarks:
    """Of the connections that one server has open, 1 to 1,000,000."""

    high: int
    """With so many it takes no new ones."""
    low: int
    """Until it has no more than these."""


@dataclass(frozen=True, slots=True)
class RealServer:
    """One host's part in one pool."""

    host: str
    address: Address
    """The RIP."""
    port: int | None = None
    """None: the same port as the virtual service (always so in DR)."""
    weight: int = 100
    """0 to 256; 0 takes no new connection."""
    needs: tuple[Need, ...] = ()
    """Its host's."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a silent flow is remembered at layer 4. Seconds, 1 to 2,592,000 (30 days)."""

    established_s: int = 4 * 3600
    """Imaging associations idle for hours between two studies."""
    closing_s: int = 120
    """After a FIN or RST."""
    datagram_s: int = 300
    """UDP."""


@dataclass(frozen=True, slots=True)
class VirtualService:
    """What clients connect to: VIP, protocol, ports and the policy behind them."""

    name: str
    vip: Address
    ports: tuple[int, ...]
    """Ascending. All ports of a service share its persistence. None: only rules of others lead here."""
    forwarding: Forwarding
    check: Check
    pool: tuple[RealServer, ...]
    protocol: Protocol = Protocol.TCP
    application: Application = Application.GENERIC
    scheduler: Scheduler = Scheduler.WLC
    persistence: Persistence | None = None
    fallback: RealServer | None = None
    """Serves when no server of the pool can. It is not checked."""
    floor: int = 0
    """With fewer servers than this left by their checks, all that are meant to be online serve; 0 to 64."""
    slow_start_s: int = 0
    """Seconds over which a server that came back gets its whole weight; 0: at once."""
    watermarks: Watermarks | None = None
    """None: as many connections as come."""
    feedback: Feedback | None = None
    """None: weights are those of the document."""
    source: Address | None = None
    """SNAT: the node's address that real servers see; None: the one that faces them."""
    one_packet: bool = False
    """UDP: every datagram is scheduled by itself, and no flow is remembered."""
    timeouts: Timeouts = Timeouts()
    """Of layer 4."""
    waits: ProxyTimeouts = ProxyTimeouts()
    """Of layer 7."""
    limits: Limits = Limits()
    tls: Tls | None = None
    """None: clients speak in the clear, or TLS passes through."""
    server_tls: ServerTls | None = None
    """None: as the client's bytes are after our own TLS."""
    proxy_protocol: ProxyProtocol | None = None
    """What real servers are told of the client before its first byte."""
    behind_proxies: bool = False
    """Clients come through proxies that speak the PROXY protocol to us."""
    transparent: bool = False
    """Layer 7: real servers see the client's own address."""
    quick_acknowledge: bool | None = None
    """Layer 7: acknowledge real servers' answers at once; None: where DICOM is spoken."""
    http: Http = Http()
    dicom: Dicom = Dicom()

    @property
    def acknowledges_at_once(self) -> bool:
        """Whether answers of real servers are acknowledged without the kernel's delay (RFC 1122, 4.2.3.2).

        DCMTK waits for that acknowledgement after every image (Nagle's algorithm).
        """
        if self.forwarding is not Forwarding.PROXY:
            return False
        chosen = self.quick_acknowledge
        return self.application.is_dicom if chosen is None else chosen

    @property
    def port_runs(self) -> tuple[tuple[int, int], ...]:
        """The ports as runs of consecutive ones, each by its first and its last."""
        known = frozenset(self.ports)
        starts = (port for port in self.ports if port - 1 not in known)
        ends = (port for port in self.ports if port + 1 not in known)
        return tuple(zip(starts, ends, strict=True))
