"""bpf(2) without a library: maps, programs to run, links and pins.

Only what the engine needs, as thin as the system call itself. Errors are
``OSError`` with the kernel's number; the driver turns them into sentences.
Source: ``linux/bpf.h`` and the kernel's Documentation/bpf.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from struct import Struct, pack, unpack_from

_SYSCALL = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}
_ATTRIBUTE_BYTES = 128
_BATCH = 1024
_Buffer = ctypes.Array[ctypes.c_char]
_libc = ctypes.CDLL(None, use_errno=True)


class Command(IntEnum):
    MAP_CREATE = 0
    MAP_LOOKUP_ELEM = 1
    MAP_UPDATE_ELEM = 2
    MAP_DELETE_ELEM = 3
    OBJ_PIN = 6
    OBJ_GET = 7
    PROG_RUN = 10
    OBJ_GET_INFO_BY_FD = 15
    MAP_LOOKUP_BATCH = 24
    MAP_UPDATE_BATCH = 26
    LINK_CREATE = 28
    LINK_UPDATE = 29
    LINK_DETACH = 34


class AttachType(IntEnum):
    XDP = 37
    TCX_INGRESS = 46


MAP_TYPE_ARRAY = 2
INNER_TABLE_FLAGS = 1 << 10 | 1 << 12
"""BPF_F_MMAPABLE and BPF_F_INNER_MAP: filled by memcpy, of any size."""
XDP_NATIVE = 1 << 2


def call(command: Command, attributes: bytes) -> int:
    """One bpf(2). Returns what the kernel returns; raises OSError."""
    buffer = ctypes.create_string_buffer(attributes.ljust(_ATTRIBUTE_BYTES, b"\0"), _ATTRIBUTE_BYTES)
    return _call(command, buffer)


def _call(command: Command, buffer: _Buffer) -> int:
    result = int(_libc.syscall(_SYSCALL[platform.machine()], int(command), buffer, _ATTRIBUTE_BYTES))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{command.name}: {os.strerror(number)}")
    return result


def _address(buffer: _Buffer) -> int:
    return ctypes.addressof(buffer)


def _cut(buffer: _Buffer, size: int, count: int) -> list[bytes]:
    raw = buffer.raw
    return [raw[at : at + size] for at in range(0, size * count, size)]


class Map:
    """A map by its file descriptor, which the object owns."""

    def __init__(self, fd: int, key: int, value: int, cpus: int = 1) -> None:
        """``cpus``: how many values a lookup returns, more than one for a per-CPU map."""
        self.fd = fd
        self.key_bytes = key
        self.value_bytes = value * cpus
        self._each = value

    def lookup(self, key: bytes) -> bytes | None:
        """The value, or None if there is none."""
        value = ctypes.create_string_buffer(self.value_bytes)
        try:
            self._element(Command.MAP_LOOKUP_ELEM, key, value)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        return value.raw

    def sums(self, raw: bytes, layout: Struct) -> tuple[int, ...]:
        """The numbers in a looked-up value, each summed over the CPUs."""
        per_cpu = [layout.unpack_from(raw, at) for at in range(0, self.value_bytes, self._each)]
        return tuple(map(sum, zip(*per_cpu, strict=True)))

    def update(self, key: bytes, value: bytes) -> None:
        self._element(Command.MAP_UPDATE_ELEM, key, ctypes.create_string_buffer(value, self.value_bytes))

    def delete(self, key: bytes) -> None:
        """Deletes an element; one that is not there is deleted already."""
        keys = ctypes.create_string_buffer(key, self.key_bytes)
        try:
            call(Command.MAP_DELETE_ELEM, pack("<IxxxxQ", self.fd, _address(keys)))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise

    def _element(self, command: Command, key: bytes, value: _Buffer) -> None:
        keys = ctypes.create_string_buffer(key, self.key_bytes)
        call(command, pack("<IxxxxQQQ", self.fd, _address(keys), _address(value), 0))

    def update_batch(self, elements: Sequence[tuple[bytes, bytes]]) -> None:
        """Writes many elements in one call: one RCU wait for any number of inner tables."""
        if not elements:
            return
        keys = ctypes.create_string_buffer(b"".join(key for key, _ in elements))
        values = ctypes.create_string_buffer(b"".join(value for _, value in elements))
        attributes = pack("<QQQQIIQQ", 0, 0, _address(keys), _address(values), len(elements), self.fd, 0, 0)
        call(Command.MAP_UPDATE_BATCH, attributes)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All elements of a hash, in batches."""
        position: _Buffer | None = None
        size = _BATCH
        while True:
            keys, values, following, number = self._batch(position, size)
            if number == errno.ENOSPC:
                size *= 2  # one bucket holds more than the buffer
                continue
            yield from zip(keys, values, strict=True)
            if number == errno.ENOENT:
                return
            position = following

    def leading(self, count: int) -> list[bytes]:
        """The first ``count`` values of an array, in one call."""
        return self._batch(None, count)[1] if count else []

    def _batch(self, start: _Buffer | None, size: int) -> tuple[list[bytes], list[bytes], _Buffer, int]:
        """Up to ``size`` keys and values, the position after them, and the kernel's number: 0, or the end."""
        following = ctypes.create_string_buffer(max(self.key_bytes, 4))
        keys = ctypes.create_string_buffer(size * self.key_bytes)
        values = ctypes.create_string_buffer(size * self.value_bytes)
        begin = 0 if start is None else _address(start)
        attributes = pack(
            "<QQQQIIQQ", begin, _address(following), _address(keys), _address(values), size, self.fd, 0, 0
        )
        buffer = ctypes.create_string_buffer(attributes, _ATTRIBUTE_BYTES)
        number = 0
        try:
            _call(Command.MAP_LOOKUP_BATCH, buffer)
        except OSError as error:
            number = error.errno or 0
            if number not in (errno.ENOENT, errno.ENOSPC):
                raise
        count = 0 if number == errno.ENOSPC else unpack_from("<I", buffer, 32)[0]
        return _cut(keys, self.key_bytes, count), _cut(values, self.value_bytes, count), following, number

    def close(self) -> None:
        os.close(self.fd)


@dataclass(frozen=True, slots=True)
class MapInfo:
    """What a map is made of: the kernel's numbers for its type and flags, sizes in bytes."""

    type: int
    key: int
    value: int
    entries: int
    flags: int

    def grows_into(self, other: MapInfo) -> bool:
        """Whether the other is the same but for values that may be longer."""
        return self.value <= other.value and replace(self, value=other.value) == other


def map_info(fd: int) -> MapInfo:
    info = ctypes.create_string_buffer(24)
    call(Command.OBJ_GET_INFO_BY_FD, pack("<IIQ", fd, len(info), _address(info)))
    # struct bpf_map_info: type, id, key, value, entries, flags
    kind, _, key, value, entries, flags = unpack_from("<6I", info)
    return MapInfo(kind, key, value, entries, flags)


def possible_cpus() -> int:
    """How many CPUs the kernel may ever have; it sizes per-CPU values."""
    text = Path("/sys/devices/system/cpu/possible").read_text(encoding="ascii")
    return int(text.strip().replace(",", "-").rpartition("-")[2]) + 1


def make_table(words: bytes) -> int:
    """A new inner table with these 64-bit words; returns its file descriptor."""
    count = len(words) // 8
    fd = call(Command.MAP_CREATE, pack("<IIIII", MAP_TYPE_ARRAY, 4, 8, count, INNER_TABLE_FLAGS))
    with mmap.mmap(fd, len(words)) as memory:
        memory[:] = words
    return fd


def pin(fd: int, path: Path) -> None:
    name = ctypes.create_string_buffer(bytes(path))
    call(Command.OBJ_PIN, pack("<QII", _address(name), fd, 0))


def open_pin(path: Path) -> int:
    name = ctypes.create_string_buffer(bytes(path))
    return call(Command.OBJ_GET, pack("<QII", _address(name), 0, 0))


def create_link(program: int, ifindex: int, attach: AttachType) -> int:
    """Attaches a program; tcx programs queue behind those already there. Returns the link's descriptor."""
    flags = XDP_NATIVE if attach is AttachType.XDP else 0
    return call(Command.LINK_CREATE, pack("<IIII", program, ifindex, attach, flags))


def update_link(link: int, program: int) -> None:
    """Replaces a link's program at one instant."""
    call(Command.LINK_UPDATE, pack("<IIII", link, program, 0, 0))


def detach_link(link: int) -> None:
    """Detaches at once; removing the last pin does so too, but some time later."""
    call(Command.LINK_DETACH, pack("<I", link))


def link_ifindex(link: int) -> int:
    """The interface that a link is attached to; 0 when its device is gone."""
    info = ctypes.create_string_buffer(64)
    call(Command.OBJ_GET_INFO_BY_FD, pack("<IIQ", link, len(info), _address(info)))
    # struct bpf_link_info: type, id, program id, padding, then the kind's own part
    return int(unpack_from("<I", info, 16)[0])


def prog_run(program: int, data: bytes = b"", repeat: int = 1) -> tuple[int, int, bytes]:
    """Runs a program over a frame. Returns its value, the mean ns of one run and the frame after it."""
    given = ctypes.create_string_buffer(data, len(data))
    result = ctypes.create_string_buffer(len(data) + 256)
    attributes = pack(
        "<IIIIQQII", program, 0, len(data), len(result), _address(given), _address(result), repeat, 0
    )
    buffer = ctypes.create_string_buffer(attributes, _ATTRIBUTE_BYTES)
    _call(Command.PROG_RUN, buffer)
    value, _, size = unpack_from("<III", buffer, 4)
    duration = unpack_from("<I", buffer, 36)[0]
    return value, duration, result.raw[:size]


def run_syscall(program: int, context: bytes) -> tuple[int, bytes]:
    """Runs a SYSCALL program. Returns its return value and the context after it."""
    memory = ctypes.create_string_buffer(context, len(context))
    attributes = bytearray(_ATTRIBUTE_BYTES)
    attributes[0:4] = pack("<I", program)
    attributes[40:44] = pack("<I", len(context))
    attributes[48:56] = pack("<Q", _address(memory))
    buffer = ctypes.create_string_buffer(bytes(attributes), _ATTRIBUTE_BYTES)
    _call(Command.PROG_RUN, buffer)
    return unpack_from("<I", buffer, 4)[0], memory.raw


def close_all(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
