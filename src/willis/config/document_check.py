"""The part of the site document that says how real servers are looked at."""

from __future__ import annotations

from willis.config.document_tls import SERVER_TLS
from willis.config.fields import Key, Many, Record
from willis.config.scalars import Choice, Duration, Integer, Name, Text
from willis.model.check import (
    CheckKind,
    CommandAsk,
    DicomAsk,
    DnsAsk,
    DnsType,
    Hl7Ask,
    HttpAsk,
    HttpField,
    HttpMethod,
    Query,
    Talk,
)

_PORT = Integer(1, 65535)
_SAID = Text(
    "text",
    r"(?:[\x20-\x5b\x5d-\x7e]|\\[rnt0\\]|\\x[0-9A-Fa-f]{2}){1,500}",
    r"up to 500 printable characters and the escapes \r, \n, \t, \0, \\ and \xHH",
    r"PING\r\n",
)
_AE_TITLE = Text(
    "AE title",
    r"[A-Za-z0-9_.#/@:+&!-]{1,16}",
    "1 to 16 letters, digits and '_.#/@:+&!-', without spaces",
    "PACS1",
)
_PATH = Text(
    "path",
    r"/[A-Za-z0-9/._~!$&()*+,;=:@%?-]{0,500}",
    "a path with its query, without quotes and spaces",
    "/status?brief=1",
)
_ROOT = Text("root", r"/[A-Za-z0-9/._~-]{0,200}", "a path", "/dicom-web")
_HOST = Text(
    "host",
    r"[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?(:[0-9]{1,5})?",
    "a host name, with a port if need be",
    "pacs.example.org",
)
_HEADER = Text(
    "header name", r"[A-Za-z0-9][A-Za-z0-9-]{0,63}", "1 to 64 letters, digits or '-'", "X-Department"
)
_VALUE = Text(
    "value", r"[\x21-\x7e]([\x20-\x7e]{0,498}[\x21-\x7e])?", "1 to 500 printable characters", "radiology"
)
_BODY = Text(
    "text",
    r"[\x20-\x7e]{1,200}",
    "1 to 200 printable characters; * is any run of characters",
    "database*up",
)
_HD = Text("name", r"[A-Za-z0-9_.-]{0,60}", "up to 60 letters, digits, '_', '.' or '-'", "RIS")
_MESSAGE_TYPE = Text(
    "message type", r"[A-Z]{3}\^[A-Z][A-Z0-9]{2}(\^[A-Z0-9_]{3,7})?", "a message type", "QBP^Q22^QBP_Q21"
)
_VERSION = Text("version", r"2\.[1-9](\.[0-9])?", "a version of HL7", '"2.5"')
_SEGMENT = Text(
    "segment",
    r"[A-Z][A-Z0-9]{2}\|[\x20-\x7e]{0,500}",
    "a segment other than MSH in printable characters",
    "QRD|...",
)
_DNS_NAME = Text(
    "name", r"(?=.{1,253}\Z)([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?", "a domain name", "example.org"
)
_PROGRAM = Text(
    "program",
    r"/[A-Za-z0-9_.-][A-Za-z0-9_./-]{0,200}",
    "an absolute path of letters, digits and '_./-'",
    "/usr/local/lib/willis/check-ris",
)
_ARGUMENT = Text("argument", r"[\x20-\x7e]{1,200}", "1 to 200 printable characters", "--quick")
_USER = Name("user")

_HTTP_FIELD = (
    Key("name", _HEADER, "Its name.", required=True),
    Key("value", _VALUE, "Its value; that of an answer must only contain it.", required=True),
)
_SEND_HEADER = Record("Header", _HTTP_FIELD, makes=HttpField)
_ANSWER_HEADER = Record("Header of the answer", _HTTP_FIELD, makes=HttpField)

TALK = Record(
    "TCP check",
    (
        Key("send", _SAID, "What is said once connected.", default="nothing"),
        Key("expect", _SAID, "What must stand in the first 4 KiB of the answer.", default="nothing"),
    ),
    makes=Talk,
)
HTTP_ASK = Record(
    "HTTP check",
    (
        Key("method", Choice(HttpMethod), "Of `http` and `https`.", default="`GET`"),
        Key("path", _PATH, "Of `http` and `https`: what is asked for.", default="`/`"),
        Key(
            "root",
            _ROOT,
            "Of `dicomweb`, `mint` and `fhir`: where the service begins.",
            default="`dicomweb`: /dicom-web; else the server's root",
        ),
        Key("host", _HOST, "The host that is asked for.", default="the server's address and port"),
        Key(
            "headers",
            Many("header", _SEND_HEADER, most=16),
            "Sent beside our own.",
            default="none",
        ),
        Key(
            "status",
            Many("status", Integer(100, 599), most=16, bare=True),
            "The status codes that are right.",
            default="any of 200 to 399; `dicomweb`: 200 or 204; `mint` and `fhir`: 200",
        ),
        Key("header", _ANSWER_HEADER, "A header that the answer must have.", default="none"),
        Key("body", _BODY, "What must stand in the first 64 KiB of the body.", default="anything"),
    ),
    makes=HttpAsk,
)
DICOM_ASK = Record(
    "DICOM check",
    (
        Key("called", _AE_TITLE, "The AE title that is called.", default="`ANY-SCP`"),
        Key("calling", _AE_TITLE, "Our own AE title; servers may have to know it.", default="`WILLIS`"),
        Key(
            "query",
            Choice(Query),
            "What `dicom-find` asks: the modality worklist, or the study root.",
            default="`worklist`",
        ),
    ),
    makes=DicomAsk,
)
HL7_ASK = Record(
    "HL7 check",
    (
        Key(
            "message",
            _MESSAGE_TYPE,
            "MSH-9 of a message that is sent with MSH-11 `T` and a fresh MSH-10.",
            default="none: the connection is half-open, and the receiver sees nothing",
        ),
        Key("sending-application", _HD, "MSH-3.", default="`WILLIS`"),
        Key("sending-facility", _HD, "MSH-4.", default="empty"),
        Key("receiving-application", _HD, "MSH-5.", default="empty"),
        Key("receiving-facility", _HD, "MSH-6.", default="empty"),
        Key("version", _VERSION, "MSH-12, in quotes.", default="2.5"),
        Key(
            "segments",
            Many("segment", _SEGMENT, most=32),
            "What follows MSH.",
            default="with `QBP^Q22`: a query for an identifier that cannot match",
        ),
    ),
    makes=Hl7Ask,
)
DNS_ASK = Record(
    "DNS check",
    (
        Key("name", _DNS_NAME, "The name that is asked for; it must exist.", required=True),
        Key("type", Choice(DnsType), "The type of record.", default="`A`"),
    ),
    makes=DnsAsk,
)
COMMAND_ASK = Record(
    "Command check",
    (
        Key("program", _PROGRAM, "An executable file that only root may change.", required=True),
        Key(
            "arguments",
            Many("argument", _ARGUMENT, most=32),
            "Its first arguments; VIP, its port, RIP and its port follow.",
            default="none",
        ),
        Key(
            "user",
            _USER,
            "Whom it runs as; as the engine itself, where that is not root.",
            default="`nobody`",
        ),
    ),
    makes=CommandAsk,
)

QUESTION_KEYS = (
    Key("tcp", TALK, "Of `tcp`: a full connect, and what is said.", default="none: half-open"),
    Key("http", HTTP_ASK, "Of the kinds that speak HTTP.", default="the defaults of its keys"),
    Key("dicom", DICOM_ASK, "Of the kinds that speak DICOM.", default="the defaults of its keys"),
    Key("hl7", HL7_ASK, "Of `hl7`.", default="the defaults of its keys"),
    Key("dns", DNS_ASK, "Of `dns`, which needs it.", default="none"),
    Key("command", COMMAND_ASK, "Of `command`, which needs it.", default="none"),
    Key("tls", SERVER_TLS, "Speak TLS; `https` always does.", default="none"),
)
DEEP = Record(
    "Deep check",
    (
        Key("kind", Choice(CheckKind), "What is asked.", required=True),
        Key("every", Integer(1, 1000), "Light looks between two deep ones.", default="`5`"),
        Key("port", _PORT, "The port of the deep look.", default="the check's port"),
    ),
)

_CHECK_KEYS = (
    Key(
        "kind",
        Choice(CheckKind),
        "What is asked; docs/guide/checks.md says which suits what.",
        default="`tcp`",
    ),
    Key("interval", Duration("200ms", "1h"), "Time between two looks.", default="`5s`"),
    Key("timeout", Duration("100ms", "60s"), "Time until a silent server counts as failed.", default="`2s`"),
    Key("rise", Integer(1, 100), "Successes in a row that bring a server back.", default="`2`"),
    Key("fall", Integer(1, 100), "Failures in a row that take a server out.", default="`2`"),
    *QUESTION_KEYS,
)
DEFAULT_CHECK = Record("Check", _CHECK_KEYS)
CHECK = Record(
    "Check",
    (
        *_CHECK_KEYS,
        Key("port", _PORT, "The port to look at.", default="the real server's own port"),
        Key(
            "deep",
            DEEP,
            "A second kind, asked once in a while and whenever a server is not well.",
            default="none",
        ),
    ),
)
