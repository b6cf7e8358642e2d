"""An entry of the audit trail as a syslog message (RFC 5424). Pure but for this node's name and process.

Two formats. ``json``: facility *log audit*, the entry as ``willis audit export`` prints it.
``dicom``: an audit message of DICOM PS3.15 A.5 (the successor of RFC 3881) as IHE ATNA (ITI-20)
carries it: facility *security*, severity *notice*, MSGID ``DICOM+RFC3881``.

Nothing here knows a patient: Willis acts on services, hosts and documents.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring  # noqa: S405 - it only writes

from willis.control.receivers import hostname, timestamp
from willis.model.collector import AuditFormat

_LOG_AUDIT, _SECURITY = 13, 10
_WARNING, _NOTICE, _INFO = 4, 5, 6

_URI = {"csd-code": "12", "codeSystemName": "RFC-3881", "originalText": "URI"}
_MINOR_FAILURE = "4"
_OTHER_SOURCE = "9"
_SYSTEM_OBJECT, _SECURITY_RESOURCE = "2", "13"
_ADDRESS = "2"


@dataclass(frozen=True, slots=True)
class Source:
    """Who reports."""

    node: str
    site: str


Row = Mapping[str, Any]
"""An entry as ``willis audit export`` prints it."""


def message(entry: Row, how: AuditFormat, source: Source) -> bytes:
    """The whole message. Its ``sequenceId`` (RFC 5424, 7.3.1), the entry's number, tells of doubles."""
    if how is AuditFormat.DICOM:
        severity, facility, name = _NOTICE, _SECURITY, "DICOM+RFC3881"
        text = f"\ufeff{dicom(entry, source)}"
    else:
        severity, facility, name = (_INFO if _done(entry) else _WARNING), _LOG_AUDIT, "audit"
        text = json.dumps({"node": source.node, "site": source.site, **entry})
    head = f"<{facility * 8 + severity}>1 {timestamp(entry['at'])} {hostname()} willis {os.getpid()} {name}"
    return f'{head} [meta sequenceId="{entry["number"]}"] {text}'.encode()


def dicom(entry: Row, source: Source) -> str:
    """PS3.15 A.5.1: the event, who was active, who reports it, and what it was about."""
    root = Element("AuditMessage")
    _event(root, entry)
    _participant(root, entry)
    reporter = SubElement(
        root,
        "AuditSourceIdentification",
        {"AuditEnterpriseSiteID": source.site, "AuditSourceID": source.node},
    )
    SubElement(reporter, "AuditSourceTypeCode", {"csd-code": _OTHER_SOURCE})
    _object(root, entry)
    return tostring(root, encoding="unicode")


def _event(root: Element, entry: Row) -> None:
    event, kind = _meaning(str(entry["action"]))
    outcome = "0" if _done(entry) else _MINOR_FAILURE
    about = {
        "EventActionCode": "E",
        "EventDateTime": timestamp(entry["at"]),
        "EventOutcomeIndicator": outcome,
    }
    found = SubElement(root, "EventIdentification", about)
    for tag, (code, meaning) in (("EventID", event), ("EventTypeCode", kind)):
        SubElement(found, tag, {"csd-code": code, "codeSystemName": "DCM", "originalText": meaning})
    if not _done(entry):
        SubElement(found, "EventOutcomeDescription").text = _visible(entry["result"])


def _participant(root: Element, entry: Row) -> None:
    about = {"UserID": _visible(entry["who"]), "UserIsRequestor": "true"}
    if entry.get("author"):
        about["AlternativeUserID"] = _visible(entry["author"])
    if _is_address(str(entry["source"])):
        about |= {"NetworkAccessPointID": str(entry["source"]), "NetworkAccessPointTypeCode": _ADDRESS}
    SubElement(root, "ActiveParticipant", about)


def _object(root: Element, entry: Row) -> None:
    """What was done to what. Details are base64, as the standard has it: no text can leave its place."""
    found = SubElement(
        root,
        "ParticipantObjectIdentification",
        {
            "ParticipantObjectID": _visible(entry["about"] or entry["action"]),
            "ParticipantObjectTypeCode": _SYSTEM_OBJECT,
            "ParticipantObjectTypeCodeRole": _SECURITY_RESOURCE,
        },
    )
    SubElement(found, "ParticipantObjectIDTypeCode", _URI)
    SubElement(found, "ParticipantObjectName").text = _visible(entry["action"])
    for name in ("number", "reason", "before", "after", "request_id", "chain"):
        value = base64.b64encode(str(entry[name]).encode()).decode()
        SubElement(found, "ParticipantObjectDetail", {"type": name, "value": value})


Code = tuple[str, str]

_AUTHENTICATION: Code = ("110114", "User Authentication")
_ALERT: Code = ("110113", "Security Alert")
_MEANINGS: tuple[tuple[re.Pattern[str], Code, Code], ...] = (
    (re.compile(r"POST /(login|setup)"), _AUTHENTICATION, ("110122", "Login")),
    (re.compile(r"POST /logout"), _AUTHENTICATION, ("110123", "Logout")),
    (re.compile(r"\S+ /(users|me)\b"), _ALERT, ("110137", "User security Attributes Changed")),
    (
        re.compile(r"\S+ /(tokens|user-sessions|secrets|certificates|authorities|acme)\b"),
        _ALERT,
        ("110129", "Security Configuration"),
    ),
    (re.compile(r"\S+ /backup\b"), _ALERT, ("110132", "Use of Restricted Function")),
)
"""The codes of PS3.16, context groups 400 to 403, for the routes of the API."""


def _meaning(action: str) -> tuple[Code, Code]:
    """Event and type; whatever changes services, hosts and documents is configuration of the network."""
    found = ((event, kind) for pattern, event, kind in _MEANINGS if pattern.match(action))
    return next(found, (_ALERT, ("110128", "Network Configuration")))


def _done(entry: Row) -> bool:
    return bool(entry["result"] == "done")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _visible(text: object) -> str:
    """Without the characters that XML 1.0 does not allow."""
    return "".join(c if c.isprintable() else " " for c in str(text))
