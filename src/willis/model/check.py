"""Checks: how Willis looks at a real server, and what such a look is about.

A *question* is what is asked of a server, one frozen class a family of kinds. A *target* is
a place and its questions; services with equal targets share one result.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from willis.model.proxy import ServerTls


class CheckKind(StrEnum):
    """What is asked. ``tcp`` is half-open unless bytes are to be said: the application sees nothing."""

    TCP = "tcp"
    PING = "ping"
    HTTP = "http"
    HTTPS = "https"
    DICOM_ECHO = "dicom-echo"
    DICOM_FIND = "dicom-find"
    DICOM_STORE = "dicom-store"
    HL7 = "hl7"
    DICOMWEB = "dicomweb"
    MINT = "mint"
    FHIR = "fhir"
    DNS = "dns"
    COMMAND = "command"
    ON = "on"
    OFF = "off"


class HttpMethod(StrEnum):
    """Methods that change nothing on the server (RFC 9110, 9.2.1)."""

    GET = "GET"
    HEAD = "HEAD"
    OPTIONS = "OPTIONS"


class Query(StrEnum):
    """Which information model a C-FIND asks (PS3.4, annexes K and C)."""

    WORKLIST = "worklist"
    STUDY = "study"


class DnsType(StrEnum):
    """Record types that a DNS check may ask for."""

    A = "A"
    AAAA = "AAAA"
    NS = "NS"
    SOA = "SOA"
    SRV = "SRV"
    PTR = "PTR"
    TXT = "TXT"


@dataclass(frozen=True, slots=True)
class Talk:
    """What is said after a full TCP connect, and what must come back. Escapes as in ``unescaped``."""

    send: str | None = None
    expect: str | None = None
    """Must stand in what the server says first."""


@dataclass(frozen=True, slots=True)
class HttpField:
    """A header field; ``value`` of an answer must only contain it."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class HttpAsk:
    """A request and the answer that is right."""

    method: HttpMethod = HttpMethod.GET
    path: str = "/"
    """With its query."""
    root: str | None = None
    """Of dicomweb, mint and fhir: where the service begins; None: the usual place."""
    host: str | None = None
    """None: the server's address and port."""
    headers: tuple[HttpField, ...] = ()
    """Sent beside our own."""
    status: tuple[int, ...] = ()
    """None: 200 to 399."""
    header: HttpField | None = None
    """The answer must have it."""
    body: str | None = None
    """Must stand in the body; ``*`` is any run of characters."""


@dataclass(frozen=True, slots=True)
class DicomAsk:
    """AE titles, and what a C-FIND asks."""

    called: str = "ANY-SCP"
    calling: str = "WILLIS"
    query: Query = Query.WORKLIST


@dataclass(frozen=True, slots=True)
class Hl7Ask:
    """A message with a fresh MSH-10 and MSH-11 ``T``. Without ``message`` nothing is said."""

    message: str | None = None
    """MSH-9."""
    sending_application: str = "WILLIS"
    """MSH-3."""
    sending_facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""
    version: str = "2.5"
    segments: tuple[str, ...] = ()
    """After MSH; none with QBP^Q22: a query for an identifier that cannot match."""


@dataclass(frozen=True, slots=True)
class DnsAsk:
    """A question to a name server."""

    name: str
    type: DnsType = DnsType.A


@dataclass(frozen=True, slots=True)
class CommandAsk:
    """A program of the site. It gets VIP, VIP's port, RIP and RIP's port after its own arguments."""

    program: str
    """An absolute path. No shell is involved."""
    arguments: tuple[str, ...] = ()
    user: str = "nobody"


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """A TCP handshake that is never completed."""

    kind: CheckKind = field(default=CheckKind.TCP, init=False)


@dataclass(frozen=True, slots=True)
class TcpTalk:
    """A full connect, with TLS and bytes where asked for."""

    talk: Talk = Talk()
    tls: ServerTls | None = None
    kind: CheckKind = field(default=CheckKind.TCP, init=False)


@dataclass(frozen=True, slots=True)
class Ping:
    """An ICMP echo request."""

    kind: CheckKind = field(default=CheckKind.PING, init=False)


@dataclass(frozen=True, slots=True)
class Http:
    """``http``, ``https``, ``dicomweb``, ``mint`` or ``fhir``."""

    kind: CheckKind = CheckKind.HTTP
    ask: HttpAsk = HttpAsk()
    tls: ServerTls | None = None


@dataclass(frozen=True, slots=True)
class Dicom:
    """``dicom-echo``, ``dicom-find`` or ``dicom-store``, in an association of its own."""

    kind: CheckKind = CheckKind.DICOM_ECHO
    ask: DicomAsk = DicomAsk()
    tls: ServerTls | None = None


@dataclass(frozen=True, slots=True)
class Hl7:
    """A message by MLLP, and its acknowledgement."""

    ask: Hl7Ask
    tls: ServerTls | None = None
    kind: CheckKind = field(default=CheckKind.HL7, init=False)


@dataclass(frozen=True, slots=True)
class Hl7Connect:
    """What an MLLP receiver does not notice: half-open."""

    kind: CheckKind = field(default=CheckKind.HL7, init=False)


@dataclass(frozen=True, slots=True)
class Dns:
    """One question by UDP."""

    ask: DnsAsk
    kind: CheckKind = field(default=CheckKind.DNS, init=False)


@dataclass(frozen=True, slots=True)
class Command:
    """A program's exit code. The place of the VIP is filled in by the service that asks."""

    ask: CommandAsk
    vip: IPv4Address | IPv6Address | None = None
    vip_port: int = 0
    kind: CheckKind = field(default=CheckKind.COMMAND, init=False)


@dataclass(frozen=True, slots=True)
class Fixed:
    """``on`` or ``off``: nobody is asked."""

    kind: CheckKind = CheckKind.ON


Question = HalfOpen | TcpTalk | Ping | Http | Dicom | Hl7 | Hl7Connect | Dns | Command | Fixed


@dataclass(frozen=True, slots=True)
class Deep:
    """A heavier question, asked after each ``every`` light looks, and of a server that is not well."""

    question: Question
    every: int = 5
    """1 to 1,000."""
    port: int | None = None
    """None: the port of the light question."""


@dataclass(frozen=True, slots=True)
class Check:
    """What is asked of a real server, how often, and how many answers make a verdict."""

    question: Question = HalfOpen()
    interval_s: float = 5.0
    """Seconds between two looks, 0.2 to 3,600."""
    timeout_s: float = 2.0
    """Seconds until a silent server counts as failed, 0.1 to 60."""
    rise: int = 2
    """Successes in a row that bring a server back, 1 to 100."""
    fall: int = 2
    """Failures in a row that take a server out, 1 to 100."""
    port: int | None = None
    """None: the real server's own port."""
    deep: Deep | None = None

    @property
    def kind(self) -> CheckKind:
        return self.question.kind


@dataclass(frozen=True, slots=True)
class Target:
    """What one check looks at. Services with equal targets share one result."""

    address: IPv4Address | IPv6Address
    port: int
    question: Question = HalfOpen()
    deep: Deep | None = None

    @property
    def kind(self) -> CheckKind:
        return self.question.kind

    @property
    def asked(self) -> str:
        """The questions as a short name that is the same in every run: ``tcp``, ``dicom-echo#1f2e3d4c``."""
        if self.deep is None and self.question == HalfOpen():
            return str(self.kind)
        said = repr((self.question, self.deep)).encode()
        return f"{self.kind}#{hashlib.sha256(said).hexdigest()[:16]}"

    def deeper(self) -> Target:
        """The same place with its deep question."""
        if self.deep is None:
            return self
        return Target(self.address, self.deep.port or self.port, self.deep.question)

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{self.kind}:{host}:{self.port}"
