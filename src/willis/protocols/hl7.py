"""HL7 version 2, as far as a balancer may read: some fields of MSH, and MSA-1 and MSA-2.

Nothing else of a message is ever taken apart, kept or told: the rest is about patients.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from willis.protocols.error import ProtocolError

ACCEPTED = ("AA", "CA")
_CODES = ("AA", "AE", "AR", "CA", "CE", "CR")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")
_LONGEST_FIELD = 250


@dataclass(frozen=True, slots=True)
class Header:
    """MSH."""

    sending_application: str
    sending_facility: str
    receiving_application: str
    receiving_facility: str
    type: str
    """MSH-9."""
    control_id: str
    """MSH-10."""
    processing: str
    """MSH-11: P production, T training, D debugging."""
    version: str


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """MSA-1 and MSA-2."""

    code: str
    control_id: str

    @property
    def accepted(self) -> bool:
        return self.code in ACCEPTED


def header(message: bytes) -> Header:
    """MSH of a message. Raises ProtocolError."""
    found = _fields(message, b"MSH")
    if found is None:
        raise ProtocolError("a message does not begin with MSH")
    # MSH-1 is the separator itself, so MSH-n stands at index n - 1.
    names = [*found, *[""] * 12]
    return Header(names[2], names[3], names[4], names[5], names[8], names[9], names[10], names[11])


def acknowledgement(message: bytes) -> Acknowledgement:
    """MSA of an answer. Raises ProtocolError."""
    found = _fields(message, b"MSA")
    if found is None:
        raise ProtocolError("an answer has no MSA segment")
    code, control_id = [*found, "", ""][1:3]
    if code not in _CODES:
        raise ProtocolError("MSA-1 of an answer is no acknowledgement code")
    return Acknowledgement(code, control_id)


def message(header_: Header, at: str, segments: tuple[str, ...]) -> bytes:
    """A message. ``at`` is MSH-7: ``20260131120000``. Raises ValueError for what has no place in it."""
    fields = (
        "MSH",
        "^~\\&",
        header_.sending_application,
        header_.sending_facility,
        header_.receiving_application,
        header_.receiving_facility,
        at,
        "",
        header_.type,
        header_.control_id,
        header_.processing,
        header_.version,
    )
    if any("|" in field or _UNPRINTABLE.search(field) for field in fields):
        raise ValueError("a field of MSH holds a separator or an unprintable character")
    if any(_UNPRINTABLE.search(segment) for segment in segments):
        raise ValueError("a segment holds an unprintable character")
    return "".join(f"{segment}\r" for segment in ("|".join(fields), *segments)).encode("ascii")


def _fields(raw: bytes, segment: bytes) -> list[str] | None:
    """The fields of the first segment of this name; None without one. The 4th byte is the separator."""
    if len(raw) < 4 or raw[:3] != b"MSH":
        raise ProtocolError("a message does not begin with MSH")
    separator = raw[3:4]
    for line in raw.replace(b"\n", b"\r").split(b"\r"):
        if line.startswith(segment + separator):
            parts = line.split(separator)[:16]
            return [_UNPRINTABLE.sub("?", part[:_LONGEST_FIELD].decode("latin-1")) for part in parts]
    return None
