"""Socket filters in classic BPF, so that a busy wire does not wake the doctor for every frame. Pure.

Only the opcodes that are used are named; see bpf(4) and the kernel's networking/filter.rst.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

_WORD = struct.Struct("=HBBI")
_LOAD_HALF, _LOAD_BYTE, _INDEX_IP4_HEAD, _LOAD_HALF_INDEXED = 0x28, 0x30, 0xB1, 0x48
_IF_EQUAL, _RETURN = 0x15, 0x06
_WHOLE = 0xFFFF
_TCP, _ICMP, _ICMPV6 = 6, 1, 58

Instruction = tuple[int, int, int, int]
"""Opcode, jump if true, jump if false, operand."""


def arp_replies() -> bytes:
    """ARP frames whose operation is 2."""
    return _packed([(_LOAD_HALF, 0, 0, 20), (_IF_EQUAL, 0, 1, 2), *_YES, *_NO])


def advertisements() -> bytes:
    """IPv6 frames with a neighbour advertisement right behind the IP header."""
    return _packed(
        [
            (_LOAD_BYTE, 0, 0, 20),
            (_IF_EQUAL, 0, 3, _ICMPV6),
            (_LOAD_BYTE, 0, 0, 54),
            (_IF_EQUAL, 0, 1, 136),
            *_YES,
            *_NO,
        ]
    )


def answers_to(version: int, port: int) -> bytes:
    """TCP segments to ``port``, and all ICMP of the same family."""
    if version == 6:
        to_port: list[Instruction] = [(_LOAD_HALF, 0, 0, 56), (_IF_EQUAL, 0, 1, port)]
        which, icmp = 20, _ICMPV6
    else:
        to_port = [
            (_INDEX_IP4_HEAD, 0, 0, 14),
            (_LOAD_HALF_INDEXED, 0, 0, 16),
            (_IF_EQUAL, 0, 1, port),
        ]
        which, icmp = 23, _ICMP
    return _packed(
        [
            (_LOAD_BYTE, 0, 0, which),
            (_IF_EQUAL, len(to_port) + 1, 0, icmp),
            (_IF_EQUAL, 0, len(to_port) + 1, _TCP),
            *to_port,
            *_YES,
            *_NO,
        ]
    )


_YES: list[Instruction] = [(_RETURN, 0, 0, _WHOLE)]
_NO: list[Instruction] = [(_RETURN, 0, 0, 0)]


def _packed(program: Sequence[Instruction]) -> bytes:
    return b"".join(_WORD.pack(*each) for each in program)
