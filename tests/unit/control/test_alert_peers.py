"""Logins of alerts, with servers that know how to refuse: aiosmtpd for mail, HTTPS with a token for webhooks.

What matters as much as that a login works: no password or token goes to anybody but the
server that was meant, and none is in a log or an alarm.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.server
import logging
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from tests.pki import Root, pem
from willis.control.receivers import Failed, Message, receiver
from willis.control.secrets import Secrets
from willis.model.alerts import Login, Mail, MailTls, Syslog, Transport, Webhook
from willis.model.event import Event, Severity

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")

MESSAGE = Message(
    "lb1", Event(7, Severity.ERROR, "Viewer", "no server takes new connections", 1_795_520_061.5)
)
PASSWORD, TOKEN = "right-horse", "right-token"
TO = ("pacs@example.org",)


@dataclass
class Place:
    """A node's secrets and authorities, and servers' certificates."""

    home: Path
    secrets: Secrets
    here: ssl.SSLContext
    elsewhere: ssl.SSLContext

    def find(self, name: str) -> Path:
        return self.home / f"{name}.pem"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    home = tmp_path_factory.mktemp("alerts")
    root = Root("Hospital")
    (home / "hospital.pem").write_bytes(pem(root.certificate))
    return Place(
        home, Secrets(home / "secrets"), _serving(home, root, "127.0.0.1"), _serving(home, root, "x")
    )


def _serving(home: Path, root: Root, name: str) -> ssl.SSLContext:
    file = home / f"server-{name}.pem"
    file.write_bytes(root.issue(name).pem_with_key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@pytest.fixture(autouse=True)
def no_secret_is_told(place: Place, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """In every test: what was logged has neither of them, whatever happened."""
    place.secrets.put("smtp", PASSWORD)
    place.secrets.put("chat", TOKEN)
    caplog.set_level(logging.DEBUG)
    yield
    for secret in (PASSWORD, TOKEN, base64.b64encode(f"\0willis\0{PASSWORD}".encode()).decode()):
        assert secret not in caplog.text


@dataclass
class Letterbox:
    """What a mail server got."""

    taken: list[str] = field(default_factory=list)
    logins: list[bytes] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.taken.append(envelope.content.decode())
        return "250 taken"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, to: str, options: Any) -> str:  # noqa: N802
        if to.startswith("nobody"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(to)
        return "250 fine"

    def judge(self, server: Any, session: Any, envelope: Any, how: str, given: LoginPassword) -> AuthResult:
        self.logins.append(given.password)
        right = given.password == PASSWORD.encode()
        return AuthResult(success=right, handled=False, message=None if right else f"535 not {PASSWORD}")


@contextlib.asynccontextmanager
async def mail_server(box: Letterbox, tls: ssl.SSLContext | None = None, **how: Any) -> AsyncIterator[int]:
    """On a port of its own; ``tls``: from the first byte."""
    loop = asyncio.get_running_loop()
    found = await loop.create_server(
        lambda: SMTP(box, hostname="mail.example.org", authenticator=box.judge, loop=loop, **how),
        "127.0.0.1",
        ssl=tls,
    )
    try:
        yield found.sockets[0].getsockname()[1]
    finally:
        found.close()


def send_mail(place: Place, setting: Mail, tls: ssl.SSLContext | None = None, **how: Any) -> Letterbox:
    """What came of one message. Raises Failed."""
    box = Letterbox()

    async def story() -> None:
        async with mail_server(box, tls, **how) as port:
            try:
                await receiver(replace(setting, port=port), place.find, place.secrets).send(MESSAGE)
            except Failed as error:
                error.box = box  # type: ignore[attr-defined]
                raise

    asyncio.run(story())
    return box


MAIL = Mail("127.0.0.1", "willis@example.org", TO, authority="hospital", login=Login("willis", "smtp"))


def test_a_login_over_starttls(place: Place) -> None:
    box = send_mail(place, MAIL, tls_context=place.here, require_starttls=True, auth_required=True)
    assert "Viewer: no server takes new connections: begins" in box.taken[0]


def test_a_login_over_tls(place: Place) -> None:
    setting = replace(MAIL, tls=MailTls.TLS)
    box = send_mail(place, setting, place.here, auth_required=True, auth_require_tls=False)
    assert box.logins == [PASSWORD.encode()]
    assert len(box.taken) == 1


@pytest.mark.parametrize("methods", [["PLAIN"], ["LOGIN"], ["PLAIN", "LOGIN"]], ids="+".join)
def test_a_wrong_password_is_said_and_not_shown(place: Place, methods: list[str]) -> None:
    place.secrets.put("smtp", "wrong-horse")
    excluded = {"PLAIN", "LOGIN"} - set(methods)
    with pytest.raises(Failed, match="it refused the login .535.; .*willis secret set smtp") as refused:
        send_mail(place, MAIL, tls_context=place.here, auth_required=True, auth_exclude_mechanism=excluded)
    assert "horse" not in str(refused.value)


@pytest.mark.parametrize("authority", ["hospital", None], ids=["another name", "another authority"])
@pytest.mark.parametrize("tls", [MailTls.STARTTLS, MailTls.TLS], ids=str)
def test_a_wrong_certificate_gets_no_password(place: Place, tls: MailTls, authority: str | None) -> None:
    serves = place.elsewhere if authority else place.here
    how: dict[str, Any] = {"tls_context": serves} if tls is MailTls.STARTTLS else {"tls": serves}
    with pytest.raises(Failed, match="its certificate is not trusted: .*'authority'") as refused:
        send_mail(place, replace(MAIL, tls=tls, authority=authority), **how)
    assert refused.value.box.logins == []  # type: ignore[attr-defined]


def test_no_password_in_clear_even_where_it_is_asked_for(place: Place) -> None:
    with pytest.raises(Failed, match="no encryption .STARTTLS., so nothing was sent") as refused:
        send_mail(place, MAIL, auth_required=True, auth_require_tls=False)
    assert refused.value.box == Letterbox()  # type: ignore[attr-defined]


def test_a_port_without_tls(place: Place) -> None:
    said = "it speaks no TLS that we know on this port: wrong version number"
    with pytest.raises(Failed, match=said):
        send_mail(place, replace(MAIL, tls=MailTls.TLS))
    with hooks(None) as (url, given), pytest.raises(Failed, match=said):
        post(place, url)
    assert given == []


def test_an_authority_that_is_gone_is_said(place: Place) -> None:
    for to in (replace(MAIL, authority="gone"), Webhook("https://127.0.0.1:9/", "gone")):
        with pytest.raises(Failed, match="its authority is not in the store"):
            asyncio.run(receiver(to, place.find, place.secrets).send(MESSAGE))


def test_a_server_without_logins(place: Place) -> None:
    with pytest.raises(Failed, match="it offers no login with a password here"):
        send_mail(place, MAIL, tls_context=place.here, auth_exclude_mechanism={"PLAIN", "LOGIN"})


def test_a_server_that_wants_a_login_and_gets_none(place: Place) -> None:
    with pytest.raises(Failed, match="it answered 530 .*Authentication required"):
        send_mail(place, replace(MAIL, login=None), tls_context=place.here, auth_required=True)


def test_a_password_that_cannot_be_sent(place: Place) -> None:
    place.secrets.put("smtp", "pferdestärke")
    with pytest.raises(
        Failed, match="secret smtp has a letter outside ASCII.*willis secret set smtp"
    ) as refused:
        send_mail(place, MAIL, tls_context=place.here, auth_required=True)
    assert "ä" not in str(refused.value)


def test_recipients_that_are_refused_are_named(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    gone = ("nobody@example.org",)
    box = send_mail(place, replace(MAIL, to=TO + gone), tls_context=place.here)
    assert len(box.taken) == 1
    assert "refused nobody@example.org, and told the others: 550 no such mailbox" in caplog.text
    with pytest.raises(Failed, match="it refused nobody@example.org: 550 no such mailbox"):
        send_mail(place, replace(MAIL, to=gone), tls_context=place.here)


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP], ids=str)
def test_a_name_that_is_none_is_a_failure_like_others(place: Place, transport: Transport) -> None:
    for setting in (Syslog("a..b", 514, transport), replace(MAIL, server="a..b"), Webhook("https://a..b/x")):
        with pytest.raises(Failed):
            asyncio.run(receiver(setting, place.find, place.secrets).send(MESSAGE))


class Hook(http.server.BaseHTTPRequestHandler):
    """Takes what has the right token, and nothing else."""

    def do_POST(self) -> None:  # noqa: N802
        self.rfile.read(int(self.headers["Content-Length"]))
        given = self.headers["Authorization"]
        self.server.given.append(given)  # type: ignore[attr-defined]
        self.send_response(204 if given == f"Bearer {TOKEN}" else 401)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def hooks(serves: ssl.SSLContext | None) -> Iterator[tuple[str, list[str | None]]]:
    """The https URL of a server, and the headers that it was given. None: it speaks no TLS."""
    server = http.server.HTTPServer(("127.0.0.1", 0), Hook)
    if serves is not None:
        server.socket = serves.wrap_socket(server.socket, server_side=True)
    server.given = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}/hook", server.given  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def post(place: Place, url: str, secret: str | None = "chat", authority: str | None = "hospital") -> None:
    to = receiver(Webhook(url, authority, secret), place.find, place.secrets)
    asyncio.run(to.send(MESSAGE))


def test_a_token_opens_a_webhook(place: Place) -> None:
    with hooks(place.here) as (url, given):
        post(place, url)
    assert given == [f"Bearer {TOKEN}"]


def test_a_wrong_token_is_said_and_not_shown(place: Place) -> None:
    place.secrets.put("chat", "wrong-token")
    with hooks(place.here) as (url, _):
        with pytest.raises(
            Failed, match="HTTP 401: it does not accept the secret chat; .*set chat"
        ) as refused:
            post(place, url)
        assert "token" not in str(refused.value)
        with pytest.raises(Failed, match="HTTP 401: it wants a token"):
            post(place, url, secret=None)


@pytest.mark.parametrize("token", ["blank-at-the-end ", "zwei Wörter"])
def test_a_token_that_no_header_holds_is_not_shown(place: Place, token: str) -> None:
    place.secrets.put("chat", token)
    said = pytest.raises(Failed, match="secret chat has a blank or a letter outside ASCII")
    with hooks(place.here) as (url, given), said as refused:
        post(place, url)
    assert token.strip() not in str(refused.value)
    assert given == []


@pytest.mark.parametrize("authority", ["hospital", None], ids=["another name", "another authority"])
def test_a_wrong_certificate_gets_no_token(place: Place, authority: str | None) -> None:
    said = pytest.raises(Failed, match="its certificate is not trusted: .*'authority'")
    with hooks(place.elsewhere if authority else place.here) as (url, given), said:
        post(place, url, authority=authority)
    assert given == []
