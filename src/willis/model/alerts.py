"""Alerts: whom Willis tells of events."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from willis.model.event import Severity


class Transport(StrEnum):
    """How syslog travels: RFC 5426, RFC 6587 (octet counting), RFC 5425."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


class MailTls(StrEnum):
    """``starttls`` (RFC 3207), ``tls`` from the first byte (RFC 8314), or ``none``."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Webhook:
    """A JSON object is posted there for each event that begins or ends."""

    url: str
    authority: str | None = None
    """Who signed its certificate, by name in the store; None: the system's authorities."""
    secret: str | None = None
    """By name, what is sent along as a bearer token (RFC 6750); None: nothing."""


@dataclass(frozen=True, slots=True)
class Login:
    """Who Willis is at a mail server."""

    user: str
    secret: str
    """The password's name among the sealed secrets."""


@dataclass(frozen=True, slots=True)
class Mail:
    """One message for each event that begins or ends."""

    server: str
    sender: str
    to: tuple[str, ...]
    port: int = 25
    tls: MailTls = MailTls.STARTTLS
    authority: str | None = None
    login: Login | None = None
    """None: the server relays for the node's address."""


@dataclass(frozen=True, slots=True)
class Syslog:
    """RFC 5424 messages."""

    server: str
    port: int = 6514
    transport: Transport = Transport.TLS
    authority: str | None = None


@dataclass(frozen=True, slots=True)
class Alerts:
    """All of them; none by default."""

    least: Severity = Severity.WARNING
    """Events below it are only listed."""
    webhooks: tuple[Webhook, ...] = ()
    mail: tuple[Mail, ...] = ()
    syslog: tuple[Syslog, ...] = ()
