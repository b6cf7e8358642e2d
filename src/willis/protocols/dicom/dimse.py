"""DIMSE: command sets (PS3.7, annex E), their fragments, and what a status says in words.

Commands are always implicit VR little endian. Error comments (0000,0902) are passed over:
servers put identifiers of patients into them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from willis.protocols.dicom.pdu import Data, Value
from willis.protocols.error import ProtocolError

RESPONSE = 0x8000
"""Set in the command field of an answer."""
NO_DATA = 0x0101
_MOST_ELEMENTS = 64
_LARGEST = 64 * 1024
_ELEMENT = struct.Struct("<HHI")
_PDV_HEAD = 6
_USUAL_PDU = 16384

SOP_CLASS, FIELD, MESSAGE_ID, RESPONDED_ID = 0x0002, 0x0100, 0x0110, 0x0120
PRIORITY, DATA_SET, STATUS, SOP_INSTANCE = 0x0700, 0x0800, 0x0900, 0x1000


class Field(IntEnum):
    """Requests by their command field."""

    STORE = 0x0001
    GET = 0x0010
    FIND = 0x0020
    MOVE = 0x0021
    ECHO = 0x0030
    CANCEL = 0x0FFF


@dataclass(frozen=True, slots=True)
class Command:
    """A command set. None: the element is not there."""

    field: int
    """As in ``Field``, with ``RESPONSE`` added in answers."""
    message_id: int | None = None
    responded_id: int | None = None
    sop_class: str | None = None
    sop_instance: str | None = None
    priority: int | None = None
    has_data: bool = False
    """A data set follows."""
    status: int | None = None


def encode(command: Command) -> bytes:
    """The command set with its group length."""
    elements = b"".join(
        _element(tag, value)
        for tag, value in (
            (SOP_CLASS, _uid(command.sop_class)),
            (FIELD, _short(command.field)),
            (MESSAGE_ID, _short(command.message_id)),
            (RESPONDED_ID, _short(command.responded_id)),
            (PRIORITY, _short(command.priority)),
            (DATA_SET, _short(0x0001 if command.has_data else NO_DATA)),
            (STATUS, _short(command.status)),
            (SOP_INSTANCE, _uid(command.sop_instance)),
        )
        if value is not None
    )
    return _element(0x0000, struct.pack("<I", len(elements))) + elements


def _element(tag: int, value: bytes) -> bytes:
    return _ELEMENT.pack(0x0000, tag, len(value)) + value


def _short(value: int | None) -> bytes | None:
    return None if value is None else struct.pack("<H", value)


def _uid(value: str | None) -> bytes | None:
    if value is None:
        return None
    raw = value.encode("ascii")
    return raw + b"\0" * (len(raw) % 2)


def decode(raw: bytes) -> Command:
    """The command of a whole command set. Raises ProtocolError."""
    found = dict(_elements(raw))
    field = _number(found, FIELD)
    if field is None:
        raise ProtocolError("a command set has no command field")
    return Command(
        field,
        _number(found, MESSAGE_ID),
        _number(found, RESPONDED_ID),
        _name(found, SOP_CLASS),
        _name(found, SOP_INSTANCE),
        _number(found, PRIORITY),
        _number(found, DATA_SET) not in (NO_DATA, None),
        _number(found, STATUS),
    )


def _elements(raw: bytes) -> Iterator[tuple[int, bytes]]:
    at, count = 0, 0
    while at < len(raw):
        count += 1
        if count > _MOST_ELEMENTS:
            raise ProtocolError(f"a command set has more than {_MOST_ELEMENTS} elements")
        if at + _ELEMENT.size > len(raw):
            raise ProtocolError("a command set ends within the head of an element")
        group, tag, length = _ELEMENT.unpack_from(raw, at)
        at += _ELEMENT.size
        if group != 0:
            raise ProtocolError(f"a command set has an element of group {group:04X}")
        if length > len(raw) - at:
            raise ProtocolError(f"element (0000,{tag:04X}) claims {length:,} bytes, {len(raw) - at} are left")
        yield tag, raw[at : at + length]
        at += length


def _number(found: dict[int, bytes], tag: int) -> int | None:
    raw = found.get(tag)
    if raw is None:
        return None
    if len(raw) != 2:
        raise ProtocolError(f"element (0000,{tag:04X}) has {len(raw)} bytes instead of 2")
    return int.from_bytes(raw, "little")


def _name(found: dict[int, bytes], tag: int) -> str | None:
    raw = found.get(tag)
    if raw is None:
        return None
    text = raw.rstrip(b"\0 ").decode("latin-1")
    if len(text) > 64 or not all(c in "0123456789." for c in text):
        raise ProtocolError(f"element (0000,{tag:04X}) is no UID")
    return text


def fragments(context: int, command: Command, data: bytes, largest: int) -> Iterator[Data]:
    """A message as PDUs of at most ``largest`` bytes each, as the peer asked; 0 is no limit."""
    room = (largest if largest > _PDV_HEAD + 1 else _USUAL_PDU) - _PDV_HEAD
    yield from _split(context, encode(command), room, command=True)
    if command.has_data:
        yield from _split(context, data, room, command=False)


def _split(context: int, raw: bytes, room: int, *, command: bool) -> Iterator[Data]:
    for at in range(0, max(len(raw), 1), room):
        piece = raw[at : at + room]
        yield Data((Value(context, command, at + room >= len(raw), piece),))


class Assembler:
    """Commands from data values. Data sets are passed over: only their end counts."""

    def __init__(self) -> None:
        self._command = bytearray()
        self._waiting: tuple[int, Command] | None = None
        """A command whose data set has not ended."""

    def feed(self, data: Data) -> Iterator[tuple[int, Command]]:
        """Each message that is complete, by its context and command. Raises ProtocolError."""
        for value in data.values:
            yield from self._value(value)

    def _value(self, value: Value) -> Iterator[tuple[int, Command]]:
        if not value.command:
            if self._waiting is None:
                raise ProtocolError("a data set came without a command")
            if value.last:
                done, self._waiting = self._waiting, None
                yield done
            return
        if self._waiting is not None:
            raise ProtocolError("a command came before the data set of the last one had ended")
        self._command += value.fragment
        if len(self._command) > _LARGEST:
            raise ProtocolError(f"a command set has more than {_LARGEST:,} bytes")
        if value.last:
            command = decode(bytes(self._command))
            self._command.clear()
            if command.has_data:
                self._waiting = value.context, command
            else:
                yield value.context, command


SUCCESS = 0x0000
_PENDING = (0xFF00, 0xFF01)
_WORDS = {
    0x0105: "no such attribute",
    0x0106: "invalid attribute value",
    0x0107: "attribute list error",
    0x0110: "processing failure",
    0x0111: "duplicate SOP instance",
    0x0112: "no such object instance",
    0x0117: "invalid object instance",
    0x0118: "no such SOP class",
    0x0119: "class and instance conflict",
    0x0122: "SOP class not supported",
    0x0124: "not authorised",
    0x0210: "duplicate invocation",
    0x0211: "unrecognised operation",
    0x0212: "mistyped argument",
    0x0213: "resource limitation",
    0xB000: "coercion of data elements",
    0xB006: "elements discarded",
    0xB007: "data set does not match SOP class",
    0xFE00: "cancelled",
}


def is_pending(status: int) -> bool:
    """Further answers follow."""
    return status in _PENDING


def is_out_of_resources(status: int) -> bool:
    """A7xx, and 0213: the server lacks something that it may get back."""
    return status & 0xFF00 == 0xA700 or status == 0x0213


def status_words(status: int) -> str:
    """A status as the standard says it (PS3.7 annex C, PS3.4): ``A700 out of resources``."""
    if status == SUCCESS:
        said = "success"
    elif is_pending(status):
        said = "pending"
    elif is_out_of_resources(status):
        said = _WORDS.get(status, "out of resources")
    elif status & 0xFF00 in (0xA800, 0xA900):
        said = "data set does not match SOP class"
    elif status & 0xF000 == 0xC000:
        said = "unable to process"
    else:
        said = _WORDS.get(status, "failure")
    return f"{status:04X} {said}"
