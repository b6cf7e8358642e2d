"""What a collector reads: JSON as it is exported, or audit messages that DICOM PS3.15 A.5 would recognise."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.atna import LONGEST, Element, conforms
from willis.control.audit_messages import Source, dicom, message
from willis.model.collector import AuditFormat

SOURCE = Source("lb1", "clinic")
ENTRY: dict[str, Any] = {
    "number": 7,
    "at": 1_795_520_061.5,
    "who": "ann",
    "author": "",
    "source": "socket",
    "action": "POST /drain",
    "about": "where vna1",
    "reason": "disk",
    "before": "aa",
    "after": "aa",
    "result": "done",
    "request_id": "ris-2026.0042",
    "chain": "cc",
}


def read(**changed: Any) -> Element:
    return conforms(dicom(ENTRY | changed, SOURCE))


def active(root: Element) -> list[dict[str, str]]:
    return [each.attrib for each in root.findall("ActiveParticipant")]


def details(root: Element) -> dict[str | None, str]:
    found = root.iter("ParticipantObjectDetail")
    return {each.get("type"): base64.b64decode(each.get("value") or "").decode() for each in found}


def test_json_is_one_line_of_rfc_5424() -> None:
    head, _, text = message(ENTRY, AuditFormat.JSON, SOURCE).partition(b"] ")
    assert head.startswith(b"<110>1 2026-11-24T")
    assert head.endswith(b' audit [meta sequenceId="7"')
    assert json.loads(text) == {"node": "lb1", "site": "clinic", **ENTRY}
    refused = message(ENTRY | {"result": "409: no"}, AuditFormat.JSON, SOURCE)
    assert refused.startswith(b"<108>1 ")


@pytest.mark.parametrize(
    ("action", "event", "kind"),
    [
        ("POST /login", "110114", "110122"),
        ("POST /login/oidc", "110114", "110122"),
        ("POST /setup", "110114", "110122"),
        ("POST /setup-code", "110113", "110129"),
        ("POST /logout", "110114", "110123"),
        ("PUT /users/ann", "110113", "110137"),
        ("POST /me/password", "110113", "110137"),
        ("GET /users", "110113", "110132"),
        ("POST /tokens", "110113", "110129"),
        ("PUT /secrets/smtp", "110113", "110129"),
        ("POST /backup", "110113", "110132"),
        ("POST /apply", "110113", "110128"),
        ("undo", "110113", "110128"),
    ],
)
def test_what_was_done_has_its_code(action: str, event: str, kind: str) -> None:
    root = read(action=action)
    codes = [root.find(f"EventIdentification/{tag}") for tag in ("EventID", "EventTypeCode")]
    assert [code.get("csd-code") for code in codes if code is not None] == [event, kind]


def test_an_alert_is_about_this_node_and_describes_itself() -> None:
    root = read()
    subject = root.find("ParticipantObjectIdentification")
    assert subject is not None
    assert subject.get("ParticipantObjectID") == "lb1@clinic"
    assert details(root) == {
        "Alert Description": "POST /drain: where vna1",
        "number": "7",
        "reason": "disk",
        "before": "aa",
        "after": "aa",
        "request_id": "ris-2026.0042",
        "chain": "cc",
    }
    assert details(read(about=""))["Alert Description"] == "POST /drain"


@pytest.mark.parametrize(
    ("who", "user"),
    [
        ("ann", "ann@lb1"),
        ("ann@HOSPITAL", "ann@HOSPITAL"),
        ("token:ci", "token:ci"),
        ("willis", "willis"),
        ("nobody", "nobody"),
    ],
)
def test_a_person_has_a_domain(who: str, user: str) -> None:
    assert [each["UserID"] for each in active(read(who=who))] == [user]


@pytest.mark.parametrize(
    ("source", "kind", "point"),
    [("192.0.2.7", "2", "192.0.2.7"), ("2001:db8::7", "2", "2001:db8::7"), ("socket", "1", "lb1")],
)
def test_whoever_signs_in_comes_from_somewhere(source: str, kind: str, point: str) -> None:
    (found,) = active(read(action="POST /login", about="name ann", source=source))
    assert (found["NetworkAccessPointTypeCode"], found["NetworkAccessPointID"]) == (kind, point)


def test_a_failed_login_names_whom_it_claimed() -> None:
    refused = {"who": "nobody", "about": "name ann", "result": "401: no"}
    assert active(read(action="POST /login", **refused))[0]["UserID"] == "ann@lb1"
    assert active(read(action="POST /drain", **refused))[0]["UserID"] == "nobody"
    assert active(read(action="POST /login", **refused | {"about": ""}))[0]["UserID"] == "nobody"


def test_for_whom_somebody_acted_is_no_second_requestor() -> None:
    found = [(each["UserID"], each["UserIsRequestor"]) for each in active(read(who="root", author="ann"))]
    assert found == [("root@lb1", "true"), ("ann@lb1", "false")]


@given(st.text(max_size=60), st.text(max_size=60), st.sampled_from(["socket", "192.0.2.7", "2001:db8::7"]))
def test_no_text_leaves_its_place(about: str, reason: str, source: str) -> None:
    changed = {"about": about, "who": about or "x", "reason": reason, "source": source, "result": about}
    assert details(read(**changed))["reason"] == reason
    sent = message(ENTRY | changed, AuditFormat.DICOM, SOURCE)
    assert sent.startswith(b"<85>1 ")
    assert b' IHE+RFC-3881 [meta sequenceId="7"] <AuditMessage>' in sent
    assert all(32 <= byte < 127 for byte in sent)


def test_the_longest_entry_fits_into_what_every_receiver_takes() -> None:
    texts = ("who", "author", "action", "about", "reason", "result")
    longest = dict.fromkeys(texts, "\N{HOSPITAL}" * 500)
    sent = message(ENTRY | longest | {"request_id": "x" * 128}, AuditFormat.DICOM, SOURCE)
    assert len(sent) <= LONGEST
