"""Small data sets in implicit VR little endian: queries that cannot match, and an object to store.

No real patient can be meant: the identifiers are fixed and say whose they are.
"""

from __future__ import annotations

import struct

VERIFICATION = "1.2.840.10008.1.1"
WORKLIST_FIND = "1.2.840.10008.5.1.4.31"
STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"

PROBE_PATIENT = "WILLIS-CHECK"
PROBE_STUDY = "2.25.165561206927387972848342666774765709717"
PROBE_SERIES = "2.25.269909496991717323827223286070519101166"
PROBE_INSTANCE = "2.25.48596503323936890004142407844196779630"
_NOBODY = "WILLIS-CHECK-NONE"
_BEFORE_DICOM = "19000101"
_SIDE = 8

Element = tuple[int, int, bytes]


def encode(*elements: Element) -> bytes:
    """Elements (group, number, value) in ascending order."""
    return b"".join(
        struct.pack("<HHI", group, number, len(value)) + value for group, number, value in elements
    )


def text(group: int, number: int, value: str) -> Element:
    """Padded with a space to an even length (PS3.5, 6.2)."""
    raw = value.encode("ascii")
    return group, number, raw + b" " * (len(raw) % 2)


def uid(group: int, number: int, value: str) -> Element:
    """Padded with a NUL."""
    raw = value.encode("ascii")
    return group, number, raw + b"\0" * (len(raw) % 2)


def short(group: int, number: int, value: int) -> Element:
    return group, number, struct.pack("<H", value)


def sequence(group: int, number: int, item: bytes) -> Element:
    """A sequence with one item of known length."""
    return group, number, struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item


def worklist_query() -> bytes:
    """Scheduled steps of a station that nobody has, on a day before DICOM (PS3.4, K.6.1)."""
    step = encode(
        text(0x0008, 0x0060, ""), text(0x0040, 0x0001, PROBE_PATIENT), text(0x0040, 0x0002, _BEFORE_DICOM)
    )
    return encode(text(0x0008, 0x0050, ""), text(0x0010, 0x0020, ""), sequence(0x0040, 0x0100, step))


def study_query() -> bytes:
    """Studies of a patient that nobody is (PS3.4, C.6.2)."""
    return encode(text(0x0008, 0x0052, "STUDY"), text(0x0010, 0x0020, _NOBODY), uid(0x0020, 0x000D, ""))


def probe_object() -> bytes:
    """A secondary capture of 8 x 8 black pixels, always the same (PS3.3, A.8)."""
    return encode(
        uid(0x0008, 0x0016, SECONDARY_CAPTURE),
        uid(0x0008, 0x0018, PROBE_INSTANCE),
        text(0x0008, 0x0020, ""),
        text(0x0008, 0x0030, ""),
        text(0x0008, 0x0050, ""),
        text(0x0008, 0x0060, "OT"),
        text(0x0008, 0x0064, "WSD"),
        text(0x0008, 0x0090, ""),
        text(0x0010, 0x0010, "WILLIS^CHECK"),
        text(0x0010, 0x0020, PROBE_PATIENT),
        text(0x0010, 0x0030, ""),
        text(0x0010, 0x0040, ""),
        uid(0x0020, 0x000D, PROBE_STUDY),
        uid(0x0020, 0x000E, PROBE_SERIES),
        text(0x0020, 0x0010, ""),
        text(0x0020, 0x0011, "1"),
        text(0x0020, 0x0013, "1"),
        text(0x0020, 0x0020, ""),
        short(0x0028, 0x0002, 1),
        text(0x0028, 0x0004, "MONOCHROME2"),
        short(0x0028, 0x0010, _SIDE),
        short(0x0028, 0x0011, _SIDE),
        short(0x0028, 0x0100, 8),
        short(0x0028, 0x0101, 8),
        short(0x0028, 0x0102, 7),
        short(0x0028, 0x0103, 0),
        (0x7FE0, 0x0010, bytes(_SIDE * _SIDE)),
    )
