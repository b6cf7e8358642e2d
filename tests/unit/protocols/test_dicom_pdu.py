"""The upper layer: round trips, any bytes, and pynetdicom as the judge of what we write and read."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from willis.protocols.dicom.pdu import (
    APPLICATION_CONTEXT,
    Abort,
    Answer,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Context,
    Data,
    Parser,
    Pdu,
    ReleaseReply,
    ReleaseRequest,
    Value,
    decode,
    encode,
)
from willis.protocols.error import ProtocolError

TITLES = st.text("ABCXYZabc019_-.", min_size=1, max_size=16)
UIDS = st.from_regex(r"\A1\.[0-9]{1,10}(\.[1-9][0-9]{0,5}){0,5}\Z")
BYTES = st.integers(0, 255)
ODD = st.integers(0, 127).map(lambda n: 2 * n + 1)
CONTEXTS = st.builds(Context, ODD, UIDS, st.lists(UIDS, min_size=1, max_size=4).map(tuple))
ANSWERS = st.builds(Answer, ODD, st.integers(0, 4), UIDS)
LARGEST = st.integers(0, 2**32 - 1)
VALUES = st.builds(Value, BYTES, st.booleans(), st.booleans(), st.binary(max_size=50))
PDUS: st.SearchStrategy[Pdu] = st.one_of(
    st.builds(AssociateRequest, TITLES, TITLES, st.lists(CONTEXTS, max_size=5).map(tuple), LARGEST),
    st.builds(AssociateAccept, TITLES, TITLES, st.lists(ANSWERS, max_size=5).map(tuple), LARGEST),
    st.builds(AssociateReject, BYTES, BYTES, BYTES),
    st.builds(Data, st.lists(VALUES, max_size=4).map(tuple)),
    st.just(ReleaseRequest()),
    st.just(ReleaseReply()),
    st.builds(Abort, BYTES, BYTES),
)


@given(st.lists(PDUS, max_size=5), st.data())
def test_what_is_written_is_read_in_pieces_of_any_size(pdus: list[Pdu], data: st.DataObject) -> None:
    raw = b"".join(map(encode, pdus))
    parser, found = Parser(), []
    while raw:
        size = data.draw(st.integers(1, len(raw)))
        found += parser.feed(raw[:size])
        raw = raw[size:]
    assert found == pdus


@given(st.binary(max_size=300))
def test_any_bytes_are_pdus_or_a_sentence(raw: bytes) -> None:
    with_luck(raw)


@settings(max_examples=400)
@given(PDUS, st.data())
def test_any_mutation_is_pdus_or_a_sentence(pdu: Pdu, data: st.DataObject) -> None:
    raw = bytearray(encode(pdu))
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(BYTES)
    cut = data.draw(st.integers(0, len(raw)))
    with_luck(bytes(raw[:cut]) + data.draw(st.binary(max_size=20)))


@given(st.integers(1, 7), st.binary(max_size=200))
def test_any_body_of_a_known_type_is_a_pdu_or_a_sentence(kind: int, body: bytes) -> None:
    with_luck(struct.pack(">BxI", kind, len(body)) + body)


def with_luck(raw: bytes) -> None:
    try:
        Parser().feed(raw)
    except ProtocolError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"HTTP/1.1 400 Bad Request", "a PDU of type 48 is not DICOM"),
        (b"\x04\x00\xff\xff\xff\xff", "a PDU claims 4,294,967,295 bytes; 1,048,576 is the most here"),
        (b"\x03\x00\x00\x00\x00\x02\x00\x01", "an A-ASSOCIATE-RJ has 2 bytes instead of 4"),
        (b"\x02\x00\x00\x00\x00\x01\x00", "an association's head has 1 bytes instead of 68"),
        (b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x09\x01\x03", "a data value claims 9 bytes, and 2 are left"),
        (
            b"\x01\x00\x00\x00\x00\x48" + bytes(68) + b"\x10\x00\x00\x05",
            "item 10 claims 5 bytes, and 0 are left",
        ),
    ],
)
def test_what_is_wrong_is_said(raw: bytes, sentence: str) -> None:
    with pytest.raises(ProtocolError) as told:
        Parser().feed(raw)
    assert str(told.value) == sentence


def test_many_items_end_at_the_bound() -> None:
    head = encode(AssociateRequest("A", "B", ()))[6:74]
    with pytest.raises(ProtocolError, match="more than 256 items"):
        decode(0x01, head + b"\x99\x00\x00\x00" * 300)
    contexts = b"\x20\x00\x00\x04\x01\x00\x00\x00" * 129
    with pytest.raises(ProtocolError, match="129 presentation contexts"):
        decode(0x01, head + contexts)


def test_titles_that_do_not_fit_are_refused() -> None:
    for title in ("", "X" * 17):
        with pytest.raises(ValueError, match="1 to 16"):
            encode(AssociateRequest(title, "A", ()))


def test_padding_of_titles_does_not_count() -> None:
    raw = bytearray(encode(AssociateRequest("A", "B", ())))
    raw[10:26] = b"  PACS1\0        "
    (found,) = Parser().feed(bytes(raw))
    assert isinstance(found, AssociateRequest)
    assert found.called == "PACS1?"
    raw[10:26] = b"   PACS 1       "
    (found,) = Parser().feed(bytes(raw))
    assert isinstance(found, AssociateRequest)
    assert found.called == "PACS 1"


def test_pynetdicom_reads_what_we_write() -> None:
    pdus = pytest.importorskip("pynetdicom.pdu")
    ours = AssociateRequest(
        "PACS1", "WILLIS", (Context(1, "1.2.840.10008.1.1", ("1.2.840.10008.1.2",)),), 4096
    )
    theirs = pdus.A_ASSOCIATE_RQ()
    theirs.decode(encode(ours))
    assert (theirs.called_ae_title.strip(), theirs.calling_ae_title.strip()) == ("PACS1", "WILLIS")
    assert theirs.application_context_name == APPLICATION_CONTEXT
    (context,) = theirs.presentation_context
    assert (context.context_id, context.abstract_syntax) == (1, "1.2.840.10008.1.1")
    assert theirs.user_information.maximum_length == 4096
    data = pdus.P_DATA_TF()
    data.decode(encode(Data((Value(1, True, True, b"abc"),))))
    assert data.presentation_data_value_items[0].data[1:] == b"abc"


def test_we_read_what_pynetdicom_writes() -> None:
    pynetdicom = pytest.importorskip("pynetdicom")
    pdus = pytest.importorskip("pynetdicom.pdu")
    primitives = pytest.importorskip("pynetdicom.pdu_primitives")
    request = primitives.A_ASSOCIATE()
    request.application_context_name = APPLICATION_CONTEXT
    request.calling_ae_title, request.called_ae_title = "THEM", "US"
    largest = primitives.MaximumLengthNotification()
    largest.maximum_length_received = 12345
    identity = primitives.UserIdentityNegotiation()
    identity.user_identity_type, identity.primary_field = 2, b"someone"
    identity.secondary_field = b"secret"
    implementation = primitives.ImplementationClassUIDNotification()
    implementation.implementation_class_uid = "1.2.3"
    request.user_information = [largest, implementation, identity]
    contexts = [
        pynetdicom.build_context("1.2.840.10008.1.1"),
        pynetdicom.build_context("1.2.840.10008.5.1.4.31", ["1.2.840.10008.1.2"]),
    ]
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    request.presentation_context_definition_list = contexts
    pdu = pdus.A_ASSOCIATE_RQ()
    pdu.from_primitive(request)
    (found,) = Parser().feed(pdu.encode())
    assert isinstance(found, AssociateRequest)
    assert (found.calling, found.called, found.largest) == ("THEM", "US", 12345)
    assert [(c.number, c.abstract) for c in found.contexts] == [
        (1, "1.2.840.10008.1.1"),
        (3, "1.2.840.10008.5.1.4.31"),
    ]
    assert "secret" not in repr(found)
