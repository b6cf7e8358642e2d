"""DICOM looks at servers that we script byte by byte: what each answer means."""

from __future__ import annotations

import pytest

from tests.unit.health.peers import CHECK, QUICK, look_at, says, silent
from willis.model.check import CheckKind, Dicom, DicomAsk, Query
from willis.model.status import Verdict
from willis.plan.verdict import Result
from willis.protocols.dicom import dimse
from willis.protocols.dicom.dimse import Command, Field, fragments
from willis.protocols.dicom.pdu import (
    Abort,
    Answer,
    AssociateAccept,
    AssociateReject,
    ReleaseReply,
    encode,
)

ECHO = Dicom(ask=DicomAsk("PACS1", "LB"))
FIND = Dicom(CheckKind.DICOM_FIND, DicomAsk("RIS", "LB"))
STORE = Dicom(CheckKind.DICOM_STORE, DicomAsk("PACS1", "LB"))
FIELDS = {ECHO.kind: Field.ECHO, FIND.kind: Field.FIND, STORE.kind: Field.STORE}

ACCEPTS = encode(AssociateAccept("PACS1", "LB", (Answer(1, 0, "1.2.840.10008.1.2"),)))
PARTS = encode(ReleaseReply())


def replies(question: Dicom, status: int, *, has_data: bool = False) -> bytes:
    command = Command(
        FIELDS[question.kind] | dimse.RESPONSE, responded_id=1, status=status, has_data=has_data
    )
    return b"".join(map(encode, fragments(1, command, b"DOE^JANE", 16384)))


def answered(question: Dicom, *answers: bytes) -> Result:
    return look_at(says(*answers), question)


@pytest.mark.parametrize(
    ("question", "status", "verdict", "reason"),
    [
        (ECHO, 0x0000, Verdict.UP, "answers C-ECHO"),
        (ECHO, 0xA700, Verdict.BUSY, "answers C-ECHO with A700 out of resources"),
        (ECHO, 0x0213, Verdict.BUSY, "answers C-ECHO with 0213 resource limitation"),
        (ECHO, 0x0110, Verdict.FAILING, "answers C-ECHO with 0110 processing failure"),
        (FIND, 0x0000, Verdict.UP, "answers C-FIND"),
        (FIND, 0xFE00, Verdict.UP, "answers C-FIND"),
        (FIND, 0xA700, Verdict.FAILING, "A700 out of resources: its port is open, but its database"),
        (FIND, 0xC001, Verdict.FAILING, "C001 unable to process"),
        (FIND, 0xA900, Verdict.MISCONFIGURED, "A900 data set does not match SOP class; compare"),
        (FIND, 0x0122, Verdict.MISCONFIGURED, "0122 SOP class not supported"),
        (STORE, 0x0000, Verdict.UP, "answers C-STORE"),
        (STORE, 0xB000, Verdict.UP, "answers C-STORE with a warning"),
        (STORE, 0xA700, Verdict.FAILING, "A700 out of resources: it cannot store; look at its disk"),
        (STORE, 0xA900, Verdict.MISCONFIGURED, "A900"),
        (STORE, 0x0124, Verdict.MISCONFIGURED, "0124 not authorised"),
    ],
)
def test_what_a_status_means(question: Dicom, status: int, verdict: Verdict, reason: str) -> None:
    result = answered(question, ACCEPTS, replies(question, status), PARTS)
    assert (result.verdict, reason in result.reason) == (verdict, True), result.reason
    assert result.kind is question.kind


@pytest.mark.parametrize(
    ("rejection", "verdict", "reasons"),
    [
        (AssociateReject(2, 3, 1), Verdict.BUSY, ["temporary congestion"]),
        (AssociateReject(2, 3, 2), Verdict.BUSY, ["local limit exceeded"]),
        (AssociateReject(1, 3, 2), Verdict.BUSY, ["local limit exceeded"]),
        (AssociateReject(2, 1, 1), Verdict.BUSY, ["no reason given"]),
        (
            AssociateReject(1, 1, 7),
            Verdict.MISCONFIGURED,
            ["LB calling PACS1", "set dicom.called to the server's own"],
        ),
        (
            AssociateReject(1, 1, 3),
            Verdict.MISCONFIGURED,
            ["LB calling PACS1", "add it with this node's address", "set dicom.calling"],
        ),
        (AssociateReject(1, 2, 2), Verdict.MISCONFIGURED, ["protocol version not supported"]),
        (AssociateReject(1, 1, 99), Verdict.MISCONFIGURED, ["source 1, reason 99"]),
    ],
)
def test_what_a_rejection_means(rejection: AssociateReject, verdict: Verdict, reasons: list[str]) -> None:
    result = answered(ECHO, encode(rejection))
    assert result.verdict is verdict
    assert all(reason in result.reason for reason in reasons), result.reason


def test_what_is_not_offered_is_misconfigured() -> None:
    refuses = encode(AssociateAccept("RIS", "LB", (Answer(1, 3, ""),)))
    result = answered(FIND, refuses, PARTS)
    assert result.verdict is Verdict.MISCONFIGURED
    assert "does not offer the modality worklist (abstract syntax)" in result.reason


def test_silence_is_hung_wherever_it_begins() -> None:
    result = look_at(silent, ECHO, QUICK)
    assert result.verdict is Verdict.HUNG
    assert "takes the connection but gives no answer (A-ASSOCIATE-AC) within 1 s" in result.reason
    result = look_at(says(ACCEPTS, linger=True), ECHO, QUICK)
    assert result.verdict is Verdict.HUNG
    assert result.reason.endswith("(C-ECHO-RSP) within 1 s: the application hangs")
    result = look_at(says(ACCEPTS, linger=True), FIND, QUICK)
    assert result.reason.endswith("(C-FIND-RSP) within 1 s: the application hangs, or its database does")


@pytest.mark.parametrize(
    "answers", [[b""], [ACCEPTS, b""], [encode(Abort(2, 1))], [ACCEPTS, encode(Abort())]]
)
def test_an_abort_or_an_end_is_dead(answers: list[bytes]) -> None:
    result = answered(ECHO, *answers)
    assert result.verdict is Verdict.DEAD
    assert "closed the connection instead of" in result.reason or "aborts the association" in result.reason


@pytest.mark.parametrize(
    "garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x02\x00\x00\x00\x00\x02ab", ACCEPTS * 2]
)
def test_what_is_not_dicom_is_misconfigured(garbage: bytes) -> None:
    result = answered(ECHO, garbage)
    assert result.verdict is Verdict.MISCONFIGURED
    assert "does not speak DICOM" in result.reason


def test_matches_that_should_not_be_are_cancelled_and_never_told() -> None:
    match = replies(FIND, 0xFF00, has_data=True)
    result = answered(FIND, ACCEPTS, match, replies(FIND, 0xFE00), PARTS)
    assert result.verdict is Verdict.UP
    assert "C-CANCEL-RQ" in result.sent
    assert "DOE" not in repr(result)


def test_a_server_that_does_not_release_is_up_all_the_same() -> None:
    assert look_at(says(ACCEPTS, replies(ECHO, 0), linger=True), ECHO).verdict is Verdict.UP


def test_a_release_that_outlasts_the_timeout_is_held_against_nobody() -> None:
    assert look_at(says(ACCEPTS, replies(ECHO, 0), linger=True), ECHO, QUICK).verdict is Verdict.UP
    refuses = encode(AssociateAccept("RIS", "LB", (Answer(1, 3, ""),)))
    assert look_at(says(refuses, linger=True), FIND, QUICK).verdict is Verdict.MISCONFIGURED


def test_the_transcript_tells_each_step_in_the_order_of_time() -> None:
    question = Dicom(CheckKind.DICOM_FIND, DicomAsk("PACS1", "LB", Query.STUDY))
    result = answered(question, ACCEPTS, replies(FIND, 0), PARTS)
    assert [(step.sent, step.what) for step in result.transcript][2:] == [
        (True, "A-ASSOCIATE-RQ LB calling PACS1"),
        (False, "A-ASSOCIATE-AC"),
        (True, "C-FIND-RQ"),
        (False, "C-FIND-RSP 0000 success"),
        (True, "A-RELEASE-RQ"),
        (False, "A-RELEASE-RP"),
    ]
    times = [step.after_ms for step in result.transcript]
    assert times == sorted(times)
    assert times[5] - 1 <= result.took_ms <= times[-1], "how the server parts is not its speed"


def test_any_garbage_has_a_verdict() -> None:
    for at in range(0, len(ACCEPTS), 7):
        broken = bytearray(ACCEPTS)
        broken[at] ^= 0xFF
        result = look_at(says(bytes(broken)), ECHO, CHECK)
        assert result.verdict in (Verdict.DEAD, Verdict.MISCONFIGURED), at
