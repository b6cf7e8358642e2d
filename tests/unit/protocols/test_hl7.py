"""HL7 and MLLP: round trips, any bytes, and that nothing but the heads is ever read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willis.protocols import hl7, mllp
from willis.protocols.error import ProtocolError

FIELDS = st.text("ABC abc019_-.^", max_size=20)
HEADERS = st.builds(hl7.Header, *[FIELDS] * 8)
MESSAGES = st.binary(max_size=80).map(lambda raw: raw.replace(b"\x0b", b"").replace(b"\x1c", b""))


@given(HEADERS)
def test_a_header_comes_back(header: hl7.Header) -> None:
    assert hl7.header(hl7.message(header, "20260131120000", ("ZZZ|1",))) == header


@given(st.lists(MESSAGES, max_size=5), st.data())
def test_frames_are_read_in_pieces_of_any_size(messages: list[bytes], data: st.DataObject) -> None:
    raw = b"\r\n".join(map(mllp.frame, messages))
    deframer, found = mllp.Deframer(), []
    while raw:
        size = data.draw(st.integers(1, len(raw)))
        found += deframer.feed(raw[:size])
        raw = raw[size:]
    assert found == messages


@given(st.binary(max_size=200))
def test_any_bytes_are_messages_or_a_sentence(raw: bytes) -> None:
    for read in (mllp.Deframer().feed, hl7.header, hl7.acknowledgement):
        for text in (raw, b"\x0b" + raw, b"MSH" + raw, b"MSH|^~\\&|\rMSA" + raw):
            try:
                read(text)
            except ProtocolError as error:
                assert str(error)


@pytest.mark.parametrize("separator", ["|", "#"])
def test_an_acknowledgement_is_read_with_its_own_separator(separator: str) -> None:
    raw = "MSH|^~\\&|RIS||LB||20260131||ACK|9|T|2.5\rMSA|AE|W1|some text about a patient\r"
    found = hl7.acknowledgement(raw.replace("|", separator).encode())
    assert found == hl7.Acknowledgement("AE", "W1")
    assert not found.accepted


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"HTTP", "a message does not begin with MSH"),
        (b"MSH|^~\\&|\rERR|", "an answer has no MSA segment"),
        (b"MSH|^~\\&|\rMSA|OK|1", "MSA-1 of an answer is no acknowledgement code"),
    ],
)
def test_what_is_wrong_is_said(raw: bytes, sentence: str) -> None:
    with pytest.raises(ProtocolError) as told:
        hl7.acknowledgement(raw)
    assert str(told.value) == sentence


def test_a_frame_without_end_is_bounded_and_garbage_is_named() -> None:
    deframer = mllp.Deframer(largest=100)
    with pytest.raises(ProtocolError, match="more than 100 bytes"):
        deframer.feed(b"\x0b" + bytes(200))
    with pytest.raises(ProtocolError, match="begins with the byte 48 instead of 0B"):
        mllp.Deframer().feed(b"HTTP")


def test_nothing_leaves_its_field() -> None:
    header = hl7.Header("A|B", "", "", "", "QBP^Q22", "1", "T", "2.5")
    with pytest.raises(ValueError, match="separator"):
        hl7.message(header, "2026", ())
    with pytest.raises(ValueError, match="unprintable"):
        hl7.message(hl7.Header(*[""] * 8), "2026", ("ZZZ|\rPID|1",))
    with pytest.raises(ValueError, match="framing"):
        mllp.frame(b"\x0b")


def test_another_library_reads_our_messages() -> None:
    library = pytest.importorskip("hl7")
    header = hl7.Header("WILLIS", "LB", "RIS", "HOSP", "QBP^Q22^QBP_Q21", "W1", "T", "2.5")
    found = library.parse(hl7.message(header, "20260131120000", ("QPD|Q22|W1|",)).decode())
    assert str(found.segment("MSH")[10]) == "W1"
    assert str(found.segment("MSH")[11]) == "T"
    assert str(found.segment("QPD")[1]) == "Q22"
