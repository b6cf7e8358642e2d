"""DICOM's upper layer (PS3.8, chapter 9): seven PDUs between bytes and frozen values.

Only what an association needs is kept: titles, presentation contexts, the largest PDU. Other
user items are passed over, user identity above all, which is a secret. Every length is
bounded, and nothing but ProtocolError leaves the decoder.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from willis.protocols.error import ProtocolError

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
IMPLEMENTATION_UID = "2.25.167462847952895154151139259098561983896"
IMPLEMENTATION_NAME = "WILLIS"

MOST_CONTEXTS = 128
"""Presentation contexts in one association: their ids are the odd numbers below 256."""
_MOST_ITEMS = 256
_MOST_VALUES = 4096
_HEAD = struct.Struct(">HH16s16s32s")
_ITEM = struct.Struct(">BxH")
_PDU = struct.Struct(">BxI")
_PDV = struct.Struct(">IBB")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context that is proposed."""

    number: int
    """Odd, 1 to 255."""
    abstract: str
    transfers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a presentation context."""

    number: int
    result: int
    """0 accepted, 1 refused by the user, 2 without reason, 3 abstract or 4 transfer syntaxes unknown."""
    transfer: str


@dataclass(frozen=True, slots=True)
class AssociateRequest:
    """A-ASSOCIATE-RQ."""

    called: str
    calling: str
    contexts: tuple[Context, ...]
    largest: int = 16384
    """Bytes of the largest P-DATA-TF that may be sent to this side; 0 is no limit."""
    application: str = APPLICATION_CONTEXT
    version: int = 1


@dataclass(frozen=True, slots=True)
class AssociateAccept:
    """A-ASSOCIATE-AC. The titles are only echoes of the request's (9.3.3)."""

    called: str
    calling: str
    answers: tuple[Answer, ...]
    largest: int = 16384
    application: str = APPLICATION_CONTEXT
    version: int = 1


@dataclass(frozen=True, slots=True)
class AssociateReject:
    """A-ASSOCIATE-RJ."""

    result: int
    """1 permanent, 2 transient."""
    source: int
    """1 the user, 2 the provider (ACSE), 3 the provider (presentation)."""
    reason: int


@dataclass(frozen=True, slots=True)
class Value:
    """A presentation data value: a fragment of a command or of a data set."""

    context: int
    command: bool
    last: bool
    fragment: bytes


@dataclass(frozen=True, slots=True)
class Data:
    """P-DATA-TF."""

    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """A-RELEASE-RQ."""


@dataclass(frozen=True, slots=True)
class ReleaseReply:
    """A-RELEASE-RP."""


@dataclass(frozen=True, slots=True)
class Abort:
    """A-ABORT."""

    source: int = 0
    """0 the user, 2 the provider."""
    reason: int = 0


Pdu = AssociateRequest | AssociateAccept | AssociateReject | Data | ReleaseRequest | ReleaseReply | Abort


def encode(pdu: Pdu) -> bytes:
    """The PDU's bytes. Raises ValueError for titles, ids and lengths that have no place in them."""
    match pdu:
        case AssociateRequest():
            return _pdu(0x01, _associate(pdu, b"".join(map(_proposed, pdu.contexts))))
        case AssociateAccept():
            return _pdu(0x02, _associate(pdu, b"".join(map(_answered, pdu.answers))))
        case AssociateReject(result, source, reason):
            return _pdu(0x03, bytes((0, result, source, reason)))
        case Data(values):
            return _pdu(0x04, b"".join(map(_value, values)))
        case ReleaseRequest():
            return _pdu(0x05, bytes(4))
        case ReleaseReply():
            return _pdu(0x06, bytes(4))
        case Abort(source, reason):
            return _pdu(0x07, bytes((0, 0, source, reason)))


def _pdu(kind: int, body: bytes) -> bytes:
    return _PDU.pack(kind, len(body)) + body


def _item(kind: int, body: bytes) -> bytes:
    if len(body) > 0xFFFF:
        raise ValueError("an item of an association holds at most 65,535 bytes")
    return _ITEM.pack(kind, len(body)) + body


def _associate(pdu: AssociateRequest | AssociateAccept, contexts: bytes) -> bytes:
    user = b"".join(
        (
            _item(0x51, struct.pack(">I", pdu.largest)),
            _item(0x52, IMPLEMENTATION_UID.encode()),
            _item(0x55, IMPLEMENTATION_NAME.encode()),
        )
    )
    head = _HEAD.pack(pdu.version, 0, _title(pdu.called), _title(pdu.calling), bytes(32))
    return head + _item(0x10, pdu.application.encode("ascii")) + contexts + _item(0x50, user)


def _title(title: str) -> bytes:
    raw = title.encode("ascii")
    if not 1 <= len(raw) <= 16:
        raise ValueError(f"the AE title {title!r} does not have 1 to 16 characters")
    return raw.ljust(16)


def _proposed(context: Context) -> bytes:
    names = _item(0x30, context.abstract.encode("ascii"))
    names += b"".join(_item(0x40, syntax.encode("ascii")) for syntax in context.transfers)
    return _item(0x20, bytes((context.number, 0, 0, 0)) + names)


def _answered(answer: Answer) -> bytes:
    return _item(
        0x21, bytes((answer.number, 0, answer.result, 0)) + _item(0x40, answer.transfer.encode("ascii"))
    )


def _value(value: Value) -> bytes:
    control = value.command | value.last << 1
    return _PDV.pack(len(value.fragment) + 2, value.context, control) + value.fragment


def decode(kind: int, body: bytes) -> Pdu:
    """The PDU of a type and what follows its length. Raises ProtocolError."""
    match kind:
        case 0x01:
            return _request(body)
        case 0x02:
            return _accept(body)
        case 0x03:
            _, result, source, reason = _four(body, "an A-ASSOCIATE-RJ")
            return AssociateReject(result, source, reason)
        case 0x04:
            return Data(tuple(_values(body)))
        case 0x05:
            return ReleaseRequest()
        case 0x06:
            return ReleaseReply()
        case 0x07:
            _, _, source, reason = _four(body, "an A-ABORT")
            return Abort(source, reason)
    raise ProtocolError(f"a PDU of type {kind:02X} is not DICOM")


def _four(body: bytes, what: str) -> bytes:
    if len(body) != 4:
        raise ProtocolError(f"{what} has {len(body)} bytes instead of 4")
    return body


def _head(body: bytes) -> tuple[int, str, str]:
    if len(body) < _HEAD.size:
        raise ProtocolError(f"an association's head has {len(body)} bytes instead of {_HEAD.size}")
    version, _, called, calling, _ = _HEAD.unpack_from(body)
    return version, _text(called), _text(calling)


def _request(body: bytes) -> AssociateRequest:
    version, called, calling = _head(body)
    contexts: list[Context] = []
    application, largest = "", 0
    for kind, item in _items(body, _HEAD.size):
        if kind == 0x10:
            application = _text(item)
        elif kind == 0x20:
            number, inner = _numbered(item)
            contexts.append(_context(number[0], inner))
        elif kind == 0x50:
            largest = _largest(item)
    if len(contexts) > MOST_CONTEXTS:
        raise ProtocolError(f"{len(contexts)} presentation contexts are more than an association can have")
    return AssociateRequest(called, calling, tuple(contexts), largest, application, version)


def _context(number: int, inner: list[tuple[int, bytes]]) -> Context:
    abstract = next((_text(value) for kind, value in inner if kind == 0x30), "")
    return Context(number, abstract, tuple(_text(value) for kind, value in inner if kind == 0x40))


def _accept(body: bytes) -> AssociateAccept:
    version, called, calling = _head(body)
    answers: list[Answer] = []
    application, largest = "", 0
    for kind, item in _items(body, _HEAD.size):
        if kind == 0x10:
            application = _text(item)
        elif kind == 0x21:
            number, inner = _numbered(item)
            transfer = next((_text(value) for inner_kind, value in inner if inner_kind == 0x40), "")
            answers.append(Answer(number[0], number[2], transfer))
        elif kind == 0x50:
            largest = _largest(item)
    if len(answers) > MOST_CONTEXTS:
        raise ProtocolError(f"{len(answers)} presentation contexts are more than an association can have")
    return AssociateAccept(called, calling, tuple(answers), largest, application, version)


def _numbered(item: bytes) -> tuple[bytes, list[tuple[int, bytes]]]:
    if len(item) < 4:
        raise ProtocolError("a presentation context is shorter than its own id")
    return item[:4], list(_items(item, 4))


def _largest(item: bytes) -> int:
    """The peer's largest PDU from the user items; 0 where it names none."""
    for kind, value in _items(item, 0):
        if kind == 0x51 and len(value) == 4:
            return int.from_bytes(value, "big")
    return 0


def _items(body: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    count = 0
    while at < len(body):
        count += 1
        if count > _MOST_ITEMS:
            raise ProtocolError(f"an association lists more than {_MOST_ITEMS} items in a row")
        if at + 4 > len(body):
            raise ProtocolError("an association ends within the head of an item")
        kind, length = _ITEM.unpack_from(body, at)
        at += 4
        if at + length > len(body):
            raise ProtocolError(f"item {kind:02X} claims {length} bytes, and {len(body) - at} are left")
        yield kind, body[at : at + length]
        at += length


def _values(body: bytes) -> Iterator[Value]:
    at, count = 0, 0
    while at < len(body):
        count += 1
        if count > _MOST_VALUES:
            raise ProtocolError(f"a P-DATA-TF holds more than {_MOST_VALUES} values")
        if at + _PDV.size > len(body):
            raise ProtocolError("a P-DATA-TF ends within the head of a value")
        length, context, control = _PDV.unpack_from(body, at)
        end = at + 4 + length
        if length < 2 or end > len(body):
            raise ProtocolError(f"a data value claims {length} bytes, and {len(body) - at - 4} are left")
        yield Value(context, bool(control & 1), bool(control & 2), body[at + _PDV.size : end])
        at = end


def _text(raw: bytes) -> str:
    """Titles lose spaces at both ends (PS3.5, AE), UIDs a trailing NUL; what is no ASCII becomes ``?``."""
    return _UNPRINTABLE.sub("?", raw.rstrip(b"\0").decode("latin-1")).strip(" ")


class Parser:
    """PDUs from a stream that comes in pieces of any size. After a ProtocolError it is of no more use."""

    def __init__(self, largest: int = 1 << 20) -> None:
        self._largest = largest
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Pdu]:
        """The PDUs that ``data`` completes. Raises ProtocolError."""
        self._buffer += data
        found: list[Pdu] = []
        at = 0
        while len(self._buffer) - at >= _PDU.size:
            kind, length = _PDU.unpack_from(self._buffer, at)
            if not 1 <= kind <= 7:
                raise ProtocolError(f"a PDU of type {kind:02X} is not DICOM")
            if length > self._largest:
                raise ProtocolError(f"a PDU claims {length:,} bytes; {self._largest:,} is the most here")
            end = at + _PDU.size + length
            if len(self._buffer) < end:
                break
            found.append(decode(kind, bytes(self._buffer[at + _PDU.size : end])))
            at = end
        del self._buffer[:at]
        return found
