"""Holds an audit message against DICOM PS3.15, A.5: schema, conventions and two profiles (as of 2025e).

``SCHEMA`` says what the RELAX NG schema of A.5.1.1 says of the elements that Willis writes: which
ones in which order, which attributes, which values. Anything else is refused. It is written from
the text and not copied, since the standard is under the copyright of NEMA. The codes and their
meanings (PS3.16, context groups 400 to 404) come from pydicom, which takes them from the standard.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from xml.etree import ElementTree

from pydicom.sr.codedict import codes

Element = ElementTree.Element

TOKEN = r"[^\t\r\n]+"
CODED = {"csd-code": TOKEN, "codeSystemName": TOKEN, "originalText": TOKEN}
BASE64 = r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"
"""xsd:dateTime, with the zone that A.5.2.5 asks for."""


@dataclass(frozen=True)
class Shape:
    """What may be in an element; all are patterns."""

    children: str = ""
    """Of the children's names, a blank after each."""
    required: dict[str, str] = field(default_factory=dict)
    optional: dict[str, str] = field(default_factory=dict)
    text: str = ""


SCHEMA = {
    "AuditMessage": Shape(
        "EventIdentification (ActiveParticipant )+"
        "AuditSourceIdentification (ParticipantObjectIdentification )*"
    ),
    "EventIdentification": Shape(
        "EventID (EventTypeCode )*(EventOutcomeDescription )?",
        {"EventDateTime": TIME, "EventOutcomeIndicator": "0|4|8|12"},
        {"EventActionCode": "[CRUDE]"},
    ),
    "EventID": Shape(required=CODED, optional={"displayName": TOKEN}),
    "EventTypeCode": Shape(required=CODED, optional={"displayName": TOKEN}),
    "EventOutcomeDescription": Shape(text=".*"),
    "ActiveParticipant": Shape(
        "(RoleIDCode )*",
        {"UserID": ".+", "UserIsRequestor": "true|false|0|1"},
        {
            "AlternativeUserID": ".+",
            "UserName": ".+",
            "NetworkAccessPointID": TOKEN,
            "NetworkAccessPointTypeCode": "[1-5]",
        },
    ),
    "RoleIDCode": Shape(required=CODED, optional={"displayName": TOKEN}),
    "AuditSourceIdentification": Shape(
        "(AuditSourceTypeCode )*", {"AuditSourceID": TOKEN}, {"AuditEnterpriseSiteID": TOKEN}
    ),
    "AuditSourceTypeCode": Shape(required={"csd-code": "[1-9]"}),
    "ParticipantObjectIdentification": Shape(
        "ParticipantObjectIDTypeCode "
        "(ParticipantObjectName |ParticipantObjectQuery )(ParticipantObjectDetail )*",
        {"ParticipantObjectID": TOKEN},
        {
            "ParticipantObjectTypeCode": "[1-4]",
            "ParticipantObjectTypeCodeRole": "[1-9]|1[0-9]|2[0-6]",
            "ParticipantObjectDataLifeCycle": "[1-9]|1[0-5]",
            "ParticipantObjectSensitivity": TOKEN,
        },
    ),
    "ParticipantObjectIDTypeCode": Shape(required=CODED, optional={"displayName": TOKEN}),
    "ParticipantObjectName": Shape(text=TOKEN),
    "ParticipantObjectQuery": Shape(text=BASE64),
    "ParticipantObjectDetail": Shape(required={"type": TOKEN, "value": BASE64}),
}
LONGEST = 32_768
"""Octets of a message that every receiver takes (A.6)."""

EVENTS, ALERTS, OBJECTS = (
    {code.value: code.meaning for code in group.concepts.values()}
    for group in (codes.CID400, codes.CID403, codes.CID404)
)
AUTHENTICATION = {"110122": "Login", "110123": "Logout"}


def conforms(text: str) -> Element:
    """The message, read. Raises AssertionError."""
    root = ElementTree.fromstring(text)
    assert root.tag == "AuditMessage"
    for element in root.iter():
        _shaped(element)
    _participants(root)
    (event,) = _codes(root, "EventIdentification/EventID", EVENTS)
    assert _only(root, "EventIdentification").get("EventActionCode") == "E"
    {"110113": _alert, "110114": _authentication}[event](root)
    return root


def _shaped(element: Element) -> None:
    shape = SCHEMA[element.tag]
    children = "".join(f"{child.tag} " for child in element)
    assert re.fullmatch(shape.children, children), f"{element.tag}: {children}"
    assert shape.required.keys() <= element.attrib.keys(), element.tag
    for name, value in element.attrib.items():
        assert re.fullmatch((shape.required | shape.optional)[name], value), f"{name}: {value!r}"
    assert re.fullmatch(shape.text, element.text or ""), f"{element.tag}: {element.text!r}"
    assert not element.tail


def _participants(root: Element) -> None:
    """A.5.2: one requestor at most, and an access point is whole or not there."""
    found = root.findall("ActiveParticipant")
    assert sum(each.get("UserIsRequestor") == "true" for each in found) <= 1
    for each in found:
        kind, point = each.get("NetworkAccessPointTypeCode"), each.get("NetworkAccessPointID")
        assert (kind is None) == (point is None)
        if kind == "2":
            ip_address(point or "")


def _alert(root: Element) -> None:
    """Table A.5.3.11-1. The subject is a file or resource by its URI, or a node."""
    assert _codes(root, "EventIdentification/EventTypeCode", ALERTS)
    for subject in root.findall("ParticipantObjectIdentification"):
        assert subject.get("ParticipantObjectTypeCode") == "2"
        assert subject.get("ParticipantObjectTypeCodeRole") in ("5", "13", None)
        kind = _only(subject, "ParticipantObjectIDTypeCode").get("csd-code")
        name = subject.get("ParticipantObjectID") or ""
        form = {"12": r"[A-Za-z][A-Za-z0-9+.-]*:\S+", "110182": r"[^@\s]+@[^@\s]+|[0-9a-f.:]+"}[kind or ""]
        assert re.fullmatch(form, name), name
        assert "Alert Description" in [each.get("type") for each in subject.iter("ParticipantObjectDetail")]


def _authentication(root: Element) -> None:
    """Table A.5.3.12-1. Whoever signs in or out comes first, and from somewhere."""
    assert _codes(root, "EventIdentification/EventTypeCode", AUTHENTICATION)
    assert "NetworkAccessPointID" in root.findall("ActiveParticipant")[0].attrib
    _codes(root, "ParticipantObjectIdentification/ParticipantObjectIDTypeCode", OBJECTS)


def _codes(root: Element, path: str, known: dict[str, str]) -> list[str]:
    """All of DICOM, with the meanings that PS3.16 gives them."""
    found = root.findall(path)
    for each in found:
        assert each.get("codeSystemName") == "DCM"
        assert known[each.get("csd-code") or ""] == each.get("originalText")
    return [each.get("csd-code") or "" for each in found]


def _only(root: Element, path: str) -> Element:
    (found,) = root.findall(path)
    return found
