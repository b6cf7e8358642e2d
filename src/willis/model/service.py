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
class SourcePersistence:
    """A client keeps its real server until ``timeout_s`` without a new connection."""

    timeout_s: int = 300
    """Seconds, 1 to 86,400."""
    mask: int = 32
    """Prefix length applied to the client's address: 32 one IPv4 client (1 to 32; IPv6: 1 to 128)."""


@dataclass(frozen=True, slots=True)
class CookiePersistence:
    """A browser keeps its real server by a cookie that the proxy inserts (HTTP only)."""

    name: str = "SERVERID"
    idle_s: int = 30 * 60
    """Seconds without a request after which the cookie no longer counts."""
    life_s: int = 12 * 3600
    """Seconds after which the cookie no longer counts, used or not."""


Persistence = SourcePersistence | CookiePersistence


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
    """Ascending, at least one. All ports of a service share its persistence."""
    forwarding: Forwarding
    check: Check
    pool: tuple[RealServer, ...]
    protocol: Protocol = Protocol.TCP
    application: Application = Application.GENERIC
    scheduler: Scheduler = Scheduler.WLC
    persistence: Persistence | None = None
    fallback: RealServer | None = None
    """Serves when no server of the pool can. It is not checked."""
    source: Address | None = None
    """SNAT: the node's address that real servers see; None: the one that faces them."""
    one_packet: bool = False
    """UDP: every datagram is scheduled by itself, and no flow is remembered."""
    timeouts: Timeouts = Timeouts()

    @property
    def port_runs(self) -> tuple[tuple[int, int], ...]:
        """The ports as runs of consecutive ones, each by its first and its last."""
        known = frozenset(self.ports)
        starts = (port for port in self.ports if port - 1 not in known)
        ends = (port for port in self.ports if port + 1 not in known)
        return tuple(zip(starts, ends, strict=True))
