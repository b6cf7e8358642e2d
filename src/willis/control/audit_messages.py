"""An entry of the audit trail as a syslog message (RFC 5424). Pure but for this node's name and process.

Two formats. ``json``: facility *log audit*, the entry as ``willis audit export`` prints it.
``dicom``: an audit message of DICOM PS3.15 as IHE ATNA (ITI TF-2, 3.20) carries it:

- Elements, attributes and their order by the schema (A.5.1), without a namespace; what is in
  them by the conventions (A.5.2).
- The profiles *Security Alert* (A.5.3.11) and *User Authentication* (A.5.3.12). The subject of an
  alert is this node, ``node@site``; what exactly was done to what is its *Alert Description*.
- Facility *security*, severity *notice* (A.6). MSGID ``IHE+RFC-3881``: ITI-20 asks for it, and A.6
  leaves it open.
- ASCII, other characters as references: so RFC 5424 (6.4) asks for no byte order mark.

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
from willis.model.identity import NOBODY

_LOG_AUDIT, _SECURITY = 13, 10
_WARNING, _NOTICE, _INFO = 4, 5, 6

_MINOR_FAILURE = "4"
_OTHER_SOURCE = "9"
_SYSTEM_OBJECT, _SECURITY_RESOURCE = "2", "13"
_MACHINE, _ADDRESS = "1", "2"
_NO_PERSON = (NOBODY.name, "willis")
_CLAIMED = re.compile(r"(?:\A|, )name ([^,]+)")


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
        severity, facility, name = _NOTICE, _SECURITY, "IHE+RFC-3881"
        text = dicom(entry, source)
    else:
        severity, facility, name = (_INFO if _done(entry) else _WARNING), _LOG_AUDIT, "audit"
        text = json.dumps({"node": source.node, "site": source.site, **entry})
    head = f"<{facility * 8 + severity}>1 {timestamp(entry['at'])} {hostname()} willis {os.getpid()} {name}"
    return f'{head} [meta sequenceId="{entry["number"]}"] {text}'.encode()


def dicom(entry: Row, source: Source) -> str:
    """The event, who was active, who reports it, and what it was about, in ASCII."""
    root = Element("AuditMessage")
    event, kind = _meaning(str(entry["action"]))
    _event(root, entry, event, kind)
    _participants(root, entry, source, signing_in=event is _AUTHENTICATION)
    reporter = SubElement(
        root,
        "AuditSourceIdentification",
        {"AuditEnterpriseSiteID": source.site, "AuditSourceID": source.node},
    )
    SubElement(reporter, "AuditSourceTypeCode", {"csd-code": _OTHER_SOURCE})
    _object(root, entry, source)
    return str(tostring(root, encoding="us-ascii"), "ascii")


Code = tuple[str, str]


def _coded(parent: Element, tag: str, code: Code) -> None:
    value, meaning = code
    SubElement(parent, tag, {"csd-code": value, "codeSystemName": "DCM", "originalText": meaning})


def _event(root: Element, entry: Row, event: Code, kind: Code) -> None:
    about = {
        "EventActionCode": "E",
        "EventDateTime": timestamp(entry["at"]),
        "EventOutcomeIndicator": "0" if _done(entry) else _MINOR_FAILURE,
    }
    found = SubElement(root, "EventIdentification", about)
    _coded(found, "EventID", event)
    _coded(found, "EventTypeCode", kind)
    if not _done(entry):
        SubElement(found, "EventOutcomeDescription").text = _visible(entry["result"])


def _participants(root: Element, entry: Row, source: Source, *, signing_in: bool) -> None:
    """Who asked, and from where: an address, or this node. Then for whom, if it was said at the console."""
    who, address = str(entry["who"]), str(entry["source"])
    claimed = _CLAIMED.search(str(entry["about"]))
    if signing_in and who == NOBODY.name and claimed:
        who = claimed[1]
    remote = _is_address(address)
    about = {
        "UserID": _user(who, source),
        "UserIsRequestor": "true",
        "NetworkAccessPointID": address if remote else source.node,
        "NetworkAccessPointTypeCode": _ADDRESS if remote else _MACHINE,
    }
    SubElement(root, "ActiveParticipant", about)
    if entry.get("author"):
        author = {"UserID": _user(str(entry["author"]), source), "UserIsRequestor": "false"}
        SubElement(root, "ActiveParticipant", author)


def _user(name: str, source: Source) -> str:
    """A person is ``name@domain`` (A.5.2.1); tokens, Willis and strangers are as the trail has them."""
    person = name not in _NO_PERSON and not name.startswith("token:")
    return _visible(f"{name}@{source.node}" if person and "@" not in name else name)


def _object(root: Element, entry: Row, source: Source) -> None:
    """This node. Details are base64, as the standard has it: no text can leave its place."""
    action, about = entry["action"], entry["about"]
    found = SubElement(
        root,
        "ParticipantObjectIdentification",
        {
            "ParticipantObjectID": f"{source.node}@{source.site}",
            "ParticipantObjectTypeCode": _SYSTEM_OBJECT,
            "ParticipantObjectTypeCodeRole": _SECURITY_RESOURCE,
        },
    )
    _coded(found, "ParticipantObjectIDTypeCode", _NODE)
    SubElement(found, "ParticipantObjectName").text = _visible(about or action)
    details = {"Alert Description": f"{action}: {about}" if about else action}
    details |= {name: entry[name] for name in ("number", "reason", "before", "after", "request_id", "chain")}
    for name, text in details.items():
        value = base64.b64encode(str(text).encode()).decode()
        SubElement(found, "ParticipantObjectDetail", {"type": name, "value": value})


_NODE: Code = ("110182", "Node ID")
_AUTHENTICATION: Code = ("110114", "User Authentication")
_ALERT: Code = ("110113", "Security Alert")
_RESTRICTED: Code = ("110132", "Use of Restricted Function")
_MEANINGS: tuple[tuple[re.Pattern[str], Code, Code], ...] = (
    (re.compile(r"(GET|HEAD|OPTIONS) "), _ALERT, _RESTRICTED),
    (re.compile(r"POST /(login(/oidc)?|setup)\Z"), _AUTHENTICATION, ("110122", "Login")),
    (re.compile(r"POST /logout\Z"), _AUTHENTICATION, ("110123", "Logout")),
    (re.compile(r"\S+ /(users|me)(/|\Z)"), _ALERT, ("110137", "User Security Attributes Changed")),
    (
        re.compile(r"\S+ /(tokens|user-sessions|setup-code|secrets|certificates|authorities|acme)(/|\Z)"),
        _ALERT,
        ("110129", "Security Configuration"),
    ),
    (re.compile(r"\S+ /backup\Z"), _ALERT, _RESTRICTED),
)
"""The codes of PS3.16, context groups 400, 403 and 404, for the routes of the API. A question stands in
the trail only if it was denied."""


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
