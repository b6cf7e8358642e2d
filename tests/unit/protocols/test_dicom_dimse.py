"""Commands: round trips, any bytes, and pydicom as the judge of commands and data sets."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willis.protocols.dicom import dataset, dimse
from willis.protocols.dicom.dimse import Assembler, Command, Field, decode, encode, fragments
from willis.protocols.dicom.pdu import Data, Value
from willis.protocols.error import ProtocolError

SHORT = st.none() | st.integers(0, 0xFFFF)
UIDS = st.none() | st.from_regex(r"\A1\.[0-9]{1,10}(\.[1-9][0-9]{0,5}){0,5}\Z")
COMMANDS = st.builds(Command, st.integers(0, 0xFFFF), SHORT, SHORT, UIDS, UIDS, SHORT, st.booleans(), SHORT)


@given(COMMANDS)
def test_what_is_written_is_read(command: Command) -> None:
    assert decode(encode(command)) == command


@given(st.lists(st.tuples(COMMANDS, st.binary(max_size=100)), max_size=3), st.sampled_from((0, 8, 20, 16384)))
def test_fragments_are_put_together(messages: list[tuple[Command, bytes]], largest: int) -> None:
    assembler, found = Assembler(), []
    for command, data in messages:
        for pdu in fragments(3, command, data, largest):
            assert all(len(v.fragment) + 6 <= (largest or 16384) for v in pdu.values)
            found += assembler.feed(pdu)
    assert found == [(3, command) for command, _ in messages]


@given(
    st.lists(st.builds(Value, st.just(1), st.booleans(), st.booleans(), st.binary(max_size=40)), max_size=6)
)
def test_any_values_are_messages_or_a_sentence(values: list[Value]) -> None:
    try:
        list(Assembler().feed(Data(tuple(values))))
    except ProtocolError as error:
        assert str(error)


@given(COMMANDS, st.data())
def test_any_mutation_is_a_command_or_a_sentence(command: Command, data: st.DataObject) -> None:
    raw = bytearray(encode(command))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(bytes(raw))
    except ProtocolError as error:
        assert str(error)


def test_a_command_without_end_is_bounded() -> None:
    assembler = Assembler()
    with pytest.raises(ProtocolError, match="more than 65,536 bytes"):
        for _ in range(10):
            list(assembler.feed(Data((Value(1, True, False, bytes(16000)),))))


def test_error_comments_never_leave_the_decoder() -> None:
    raw = encode(Command(Field.FIND | dimse.RESPONSE, responded_id=1, status=0xC001))
    comment = b"DOE^JANE 19700101 "
    raw += b"\x00\x00\x02\x09" + len(comment).to_bytes(4, "little") + comment
    assert "DOE" not in repr(decode(raw))


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (0x0000, "0000 success"),
        (0xFF00, "FF00 pending"),
        (0xA700, "A700 out of resources"),
        (0xA701, "A701 out of resources"),
        (0x0213, "0213 resource limitation"),
        (0xA900, "A900 data set does not match SOP class"),
        (0xC123, "C123 unable to process"),
        (0x0122, "0122 SOP class not supported"),
        (0x1234, "1234 failure"),
    ],
)
def test_statuses_are_told_in_the_words_of_the_standard(status: int, said: str) -> None:
    assert dimse.status_words(status) == said


def test_pydicom_reads_our_commands() -> None:
    filereader = pytest.importorskip("pydicom.filereader")
    command = Command(
        Field.STORE, 7, sop_class=dataset.SECONDARY_CAPTURE, sop_instance="1.2.3", priority=2, has_data=True
    )
    found = filereader.read_dataset(BytesIO(encode(command)), True, True)
    assert found.CommandGroupLength == len(encode(command)) - 12
    assert (found.CommandField, found.MessageID, found.AffectedSOPClassUID) == (
        1,
        7,
        dataset.SECONDARY_CAPTURE,
    )
    assert [e.tag for e in found] == sorted(e.tag for e in found)


def test_pydicom_reads_our_data_sets() -> None:
    filereader = pytest.importorskip("pydicom.filereader")

    def read(raw: bytes):
        return filereader.read_dataset(BytesIO(raw), True, True)

    worklist = read(dataset.worklist_query())
    assert worklist.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate == "19000101"
    assert worklist.PatientID == ""
    study = read(dataset.study_query())
    assert (study.QueryRetrieveLevel, study.PatientID) == ("STUDY", "WILLIS-CHECK-NONE")
    probe = read(dataset.probe_object())
    assert (probe.Rows, probe.Columns, len(probe.PixelData)) == (8, 8, 64)
    assert probe.PatientID == "WILLIS-CHECK"
    for uid in (probe.StudyInstanceUID, probe.SeriesInstanceUID, probe.SOPInstanceUID):
        assert uid.is_valid
    assert [e.tag for e in probe] == sorted(e.tag for e in probe)
