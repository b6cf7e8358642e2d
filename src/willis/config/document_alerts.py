"""The part of the document that says whom Willis tells of events."""

from __future__ import annotations

from willis.config.fields import Key, Many, Record
from willis.config.scalars import Choice, Integer, Name, Text
from willis.model.alerts import Alerts, Login, Mail, MailTls, Syslog, Transport, Webhook
from willis.model.event import Severity

SERVER = Text(
    "server",
    r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252})|[0-9A-Fa-f:]{2,45}",
    "a host name or an address",
    "mail.example.org",
)
_URL = Text(
    "URL",
    r"https?://([A-Za-z0-9][A-Za-z0-9.-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?(/[A-Za-z0-9/._~=:@?&%+-]{0,500})?",
    "a URL that begins with https:// or http://",
    "https://chat.example.org/hooks/willis",
)
EMAIL = Text(
    "e-mail address",
    r"[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,190}",
    "an e-mail address",
    "pacs-admin@example.org",
)
AUTHORITY = Key(
    "authority", Name("authority"), "Who signed its certificate: a name in the store.", default="the system's"
)
_PORT = Integer(1, 65535)
_USER = Text("user name", r"[A-Za-z0-9._@+-]{1,128}", "letters, digits and ._@+-", "willis@example.org")

LOGIN = Record(
    "Login",
    (
        Key("user", _USER, "The user name there.", required=True),
        Key(
            "secret",
            Name("secret"),
            "The password: a name of `willis secret set`, never the password itself.",
            required=True,
        ),
    ),
    makes=Login,
)
WEBHOOK = Record(
    "Webhook",
    (
        Key("url", _URL, "Each event is posted there as JSON.", required=True),
        AUTHORITY,
        Key(
            "secret",
            Name("secret"),
            "What is sent as a bearer token, over https only: a name of `willis secret set`.",
            default="none",
        ),
    ),
    short="url",
    makes=Webhook,
)
MAIL = Record(
    "Mail",
    (
        Key("server", SERVER, "The mail server.", required=True),
        Key("port", _PORT, "Its port.", default="`25`"),
        Key("sender", EMAIL, "Who the mail is from.", required=True),
        Key("to", Many("address", EMAIL, most=50, bare=True), "Who gets it.", required=True),
        Key("tls", Choice(MailTls), "How the connection is protected.", default="`starttls`"),
        AUTHORITY,
        Key("login", LOGIN, "Who Willis is there.", default="it does not log in"),
    ),
    makes=Mail,
)
SYSLOG = Record(
    "Syslog",
    (
        Key("server", SERVER, "The collector; messages are RFC 5424.", required=True),
        Key("port", _PORT, "Its port.", default="`6514`"),
        Key("transport", Choice(Transport), "How messages travel.", default="`tls`"),
        AUTHORITY,
    ),
    short="server",
    makes=Syslog,
)
ALERTS = Record(
    "Alerts",
    (
        Key("least", Choice(Severity), "Events below this are only listed.", default="`warning`"),
        Key(
            "webhooks",
            Many("webhook", WEBHOOK, most=8, bare=True),
            "Where events are posted.",
            default="none",
        ),
        Key("mail", Many("mail", MAIL, most=8, bare=True), "Who is written to.", default="none"),
        Key("syslog", Many("collector", SYSLOG, most=8, bare=True), "Which collectors hear.", default="none"),
    ),
    makes=Alerts,
)
