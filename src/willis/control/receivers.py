"""How a message reaches a webhook, a mail server or a syslog collector. A failed one raises ``Failed``."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import smtplib
import socket
import ssl
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

import httpx

from willis.control.secrets import SecretError, Secrets
from willis.model.alerts import Mail, MailTls, Syslog, Transport, Webhook
from willis.model.event import Event, Severity

log = logging.getLogger("willis.alerts")

_PATIENCE_S = 10.0
_LOGINS = frozenset({"CRAM-MD5", "PLAIN", "LOGIN"})
"""The ways of smtplib to prove a password (RFC 2195, RFC 4616)."""
_TOKEN = re.compile(r"[!-~]+")
"""What one header can hold; RFC 6750, 2.1 knows fewer characters, some servers more."""

Find = Callable[[str], Path]
"""Where an authority of the certificate store is, by its name."""


class Failed(Exception):
    """The receiver did not take a message; the text says why."""


@dataclass(frozen=True, slots=True)
class Message:
    """An event that began or ended."""

    node: str
    event: Event
    left_out: int = 0
    """Messages before it that were not sent, since there were too many."""

    @property
    def state(self) -> str:
        return "begins" if self.event.ended is None else "has ended"

    @property
    def sentence(self) -> str:
        """For people."""
        more = f" ({self.left_out} more events were not sent; see 'willis events')" if self.left_out else ""
        return f"{self.event.severity}: {self.event.about}: {self.event.what}: {self.state}{more}"


class Receiver(Protocol):
    """Whoever is told."""

    @property
    def name(self) -> str:
        """As it is called in events and logs; no secret of the URL."""
        ...

    async def send(self, message: Message) -> None:
        """Raises Failed."""
        ...


def receiver(setting: Webhook | Mail | Syslog, find: Find, secrets: Secrets) -> Receiver:
    """Whom a part of the document means."""
    match setting:
        case Webhook():
            return _Webhook(setting, find, secrets)
        case Mail():
            return _Mail(setting, find, secrets)
        case Syslog():
            return _Syslog(setting, find)


class _Webhook:
    def __init__(self, setting: Webhook, find: Find, secrets: Secrets) -> None:
        self._setting, self._find, self._secrets = setting, find, secrets
        self.name = f"webhook {setting.url.split('/')[2]}"

    async def send(self, message: Message) -> None:
        body = asdict(message.event) | {
            "node": message.node,
            "state": message.state,
            "left_out": message.left_out,
            "text": message.sentence,
        }
        try:
            trust = trusting(self._setting.authority, self._find)
            async with httpx.AsyncClient(verify=trust, timeout=_PATIENCE_S, trust_env=False) as http:
                answer = await http.post(self._setting.url, json=body, headers=self._proof())
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, SecretError) as error:
            raise Failed(_reason(error)) from error
        if not answer.is_success:
            raise Failed(f"it answered HTTP {answer.status_code}{self._of_token(answer.status_code)}")

    def _proof(self) -> dict[str, str]:
        """RFC 6750, 2.1. Raises SecretError."""
        name = self._setting.secret
        if name is None:
            return {}
        token = self._secrets.get(name)
        if not _TOKEN.fullmatch(token):
            # The HTTP client would refuse it too, and show it in the error.
            raise SecretError(
                f"secret {name} has a blank or a letter outside ASCII, which no bearer token has; "
                f"store it again with 'willis secret set {name}'"
            )
        return {"Authorization": f"Bearer {token}"}

    def _of_token(self, status: int) -> str:
        """What an answer says of the token."""
        if status not in (401, 403):
            return ""
        name = self._setting.secret
        if name is None:
            return ": it wants a token, and the document names no secret for it"
        return f": it does not accept the secret {name}; store the right one with 'willis secret set {name}'"


class _Mail:
    def __init__(self, setting: Mail, find: Find, secrets: Secrets) -> None:
        self._setting, self._find, self._secrets = setting, find, secrets
        self.name = f"mail by {setting.server}"

    async def send(self, message: Message) -> None:
        try:
            refused = await asyncio.to_thread(self._send, message)
        except smtplib.SMTPAuthenticationError as error:
            # What it says is left out: it may repeat the password.
            raise Failed(
                f"it refused the login ({error.smtp_code}); check the user, or {self._remedy()}"
            ) from error
        except (smtplib.SMTPException, OSError, ValueError, SecretError) as error:
            raise Failed(_reason(error)) from error
        for to, said in refused.items():
            log.warning("%s refused %s, and told the others: %s", self.name, to, _reply(*said))

    def _send(self, message: Message) -> dict[str, tuple[int, bytes]]:
        """Whom the server does not know, if it knows another."""
        setting = self._setting
        trust = trusting(setting.authority, self._find)
        if setting.tls is MailTls.TLS:
            session: smtplib.SMTP = smtplib.SMTP_SSL(
                setting.server, setting.port, timeout=_PATIENCE_S, context=trust
            )
        else:
            session = smtplib.SMTP(setting.server, setting.port, timeout=_PATIENCE_S)
        with session:
            if setting.tls is MailTls.STARTTLS:
                _secure(session, trust)
            self._log_in(session)
            return session.send_message(self._mail(message))

    def _log_in(self, session: smtplib.SMTP) -> None:
        login = self._setting.login
        if login is None:
            return
        password = self._secrets.get(login.secret)
        if not password.isascii():
            raise SecretError(
                f"secret {login.secret} has a letter outside ASCII, which cannot be sent; {self._remedy()}"
            )
        session.ehlo_or_helo_if_needed()
        if _LOGINS.isdisjoint(session.esmtp_features.get("auth", "").upper().split()):
            raise Failed("it offers no login with a password here; use its port for submission, often 587")
        session.login(login.user, password)

    def _remedy(self) -> str:
        login = self._setting.login
        return "" if login is None else f"store the right password with 'willis secret set {login.secret}'"

    def _mail(self, message: Message) -> EmailMessage:
        event = message.event
        mail = EmailMessage()
        mail["From"] = self._setting.sender
        mail["To"] = ", ".join(self._setting.to)
        # A header is one line, whatever a reason holds.
        mail["Subject"] = " ".join(f"[{message.node}] {message.sentence}".split())[:200]
        mail["Date"] = datetime.now(UTC)
        ended = "" if event.ended is None else f"Ended: {timestamp(event.ended)}\n"
        mail.set_content(
            f"{message.sentence}\n\nNode: {message.node}\nSince: {timestamp(event.since)}\n{ended}"
        )
        return mail


class _Syslog:
    def __init__(self, setting: Syslog, find: Find) -> None:
        self._setting, self._find = setting, find
        self.name = f"syslog {setting.server}"

    async def send(self, message: Message) -> None:
        line = syslog_line(message)
        try:
            if self._setting.transport is Transport.UDP:
                await self._datagram(line)
            else:
                async with asyncio.timeout(_PATIENCE_S):
                    await self._stream(line)
        except (OSError, ValueError) as error:
            raise Failed(_reason(error)) from error

    async def _datagram(self, line: bytes) -> None:
        loop = asyncio.get_running_loop()
        where = (self._setting.server, self._setting.port)
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=where)
        transport.sendto(line)
        transport.close()

    async def _stream(self, line: bytes) -> None:
        secure = self._setting.transport is Transport.TLS
        trust = trusting(self._setting.authority, self._find) if secure else None
        _, writer = await asyncio.open_connection(self._setting.server, self._setting.port, ssl=trust)
        writer.write(b"%d " % len(line) + line)
        await writer.drain()
        writer.close()
        await writer.wait_closed()


def _secure(session: smtplib.SMTP, trust: ssl.SSLContext) -> None:
    """STARTTLS, or nothing more is said: whoever takes the offer away must not get the password."""
    session.ehlo_or_helo_if_needed()
    if not session.has_extn("starttls"):
        raise Failed("it offers no encryption (STARTTLS), so nothing was sent; use its port for 'tls: tls'")
    session.starttls(context=trust)


def _reason(error: BaseException) -> str:
    """Why a peer was not reached or did not take something, in words for people."""
    below: BaseException | None = error
    while below is not None and not isinstance(below, ssl.SSLError):
        below = below.__cause__ or below.__context__  # the HTTP client wraps it
    if isinstance(below, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {below.verify_message}; see 'authority' in the document"
    if below is not None:
        words = (below.reason or str(below)).lower().replace("_", " ")
        return f"it speaks no TLS that we know on this port: {words}"
    match error:
        case smtplib.SMTPRecipientsRefused():
            return "; ".join(f"it refused {to}: {_reply(*said)}" for to, said in error.recipients.items())
        case smtplib.SMTPResponseException():
            return f"it answered {_reply(error.smtp_code, error.smtp_error)}"
        case TimeoutError() | httpx.TimeoutException():
            return "it did not answer in time"
        case FileNotFoundError():
            return "its authority is not in the store; see 'willis certificate authority list'"
        case ValueError():
            return f"it cannot be called or understood: {error}"
    return str(error) or type(error).__name__


def _reply(code: int, text: bytes | str) -> str:
    """What a mail server says, on one line."""
    said = text.decode("ascii", "replace") if isinstance(text, bytes) else text
    return " ".join(f"{code} {said}".split())[:200]


_LEVELS = {Severity.INFO: 6, Severity.WARNING: 4, Severity.ERROR: 3}
_DAEMON = 3
"""The facility (RFC 5424, 6.2.1)."""


def syslog_line(message: Message) -> bytes:
    """RFC 5424. What an event says holds no control characters on the wire."""
    event = message.event
    text = "".join(c if c.isprintable() else " " for c in message.sentence)
    priority = _DAEMON * 8 + _LEVELS[event.severity]
    at = event.since if event.ended is None else event.ended
    head = f"<{priority}>1 {timestamp(at)} {hostname()} willis {os.getpid()} event -"
    return f"{head} \ufeff{text}".encode()


def hostname() -> str:
    """As RFC 5424 wants it: ASCII without blanks, or ``-``."""
    name = socket.gethostname()[:255]
    return name if name.isascii() and name.isprintable() and name and " " not in name else "-"


def timestamp(at: float) -> str:
    """Seconds since the epoch as RFC 3339 writes them, in UTC to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def trusting(authority: str | None, find: Find) -> ssl.SSLContext:
    """The system's authorities, or one of the store. Raises OSError."""
    return ssl.create_default_context(cafile=None if authority is None else find(authority))
