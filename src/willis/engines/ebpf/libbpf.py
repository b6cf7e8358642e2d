"""Loading the object by libbpf.so.1, through ctypes; nothing else is asked of the library.

libbpf reads the ELF file, creates the maps or takes the pinned ones, and loads
the programs. Every map is pinned, so that it outlives the process.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from willis.engines.ebpf.bpf import Map, MapInfo, possible_cpus
from willis.engines.ebpf.layout import VALUES
from willis.engines.port import EngineError

_MAP_TYPES_PER_CPU = (5, 6, 10)
"""BPF_MAP_TYPE_PERCPU_HASH, PERCPU_ARRAY and LRU_PERCPU_HASH."""
_KEPT_MESSAGES = 12
_PRINT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The loaded object: maps and the programs' descriptors by name."""

    maps: dict[str, Map]
    programs: dict[str, int]


def load(
    image: bytes, pin_dir: Path, prepare: Callable[[Mapping[str, MapInfo]], None] | None = None
) -> Loaded:
    """Loads the object with all maps pinned in ``pin_dir``, taking those that are there.

    ``prepare`` is told what maps the object wants, before they are looked for.

    Raises EngineError with libbpf's own last words when the kernel refuses.
    """
    library = _library()
    messages: list[str] = []
    printer = _printer(messages)
    library.libbpf_set_print(printer)
    handle = library.bpf_object__open_mem(image, len(image), None)
    if not handle:
        raise EngineError(_refusal("read", messages))
    try:
        for each in _walk(library.bpf_object__next_map, handle):
            library.bpf_map__set_pin_path(each, bytes(pin_dir / _name(library.bpf_map__name(each))))
        if prepare is not None:
            prepare(_wanted(library, handle))
        if library.bpf_object__load(handle) < 0:
            raise EngineError(_refusal("load", messages))
        return Loaded(_maps(library, handle), _programs(library, handle))
    finally:
        library.bpf_object__close(handle)
        library.libbpf_set_print(None)


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libbpf.so.1", use_errno=True)
    except OSError as error:
        raise EngineError(
            f"Layer 4 cannot start, because libbpf is missing ({error}). Install the package libbpf1."
        ) from error
    pointers = ("bpf_object__open_mem", "bpf_object__next_map", "bpf_object__next_program")
    for name in pointers:
        getattr(library, name).restype = ctypes.c_void_p
    for name in ("bpf_map__name", "bpf_program__name"):
        getattr(library, name).restype = ctypes.c_char_p
        getattr(library, name).argtypes = [ctypes.c_void_p]
    for name in ("bpf_map__fd", "bpf_map__type", "bpf_map__key_size", "bpf_map__value_size",
                 "bpf_map__max_entries", "bpf_map__map_flags",
                 "bpf_program__fd", "bpf_object__load", "bpf_object__close"):  # fmt: skip
        getattr(library, name).argtypes = [ctypes.c_void_p]
    library.bpf_object__open_mem.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p]
    library.bpf_object__next_map.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    library.bpf_object__next_program.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    library.bpf_map__set_pin_path.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    library.libbpf_set_print.argtypes = [ctypes.c_void_p]
    return library


def _printer(messages: list[str]) -> ctypes._CFunctionType:
    libc = ctypes.CDLL(None)
    libc.vsnprintf.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_void_p]

    def keep(level: int, template: bytes, arguments: int) -> int:
        if level == 0:  # LIBBPF_WARN; the rest is chatter
            line = ctypes.create_string_buffer(2048)
            libc.vsnprintf(line, len(line), template, arguments)
            messages.extend(line.value.decode(errors="replace").splitlines())
            del messages[:-_KEPT_MESSAGES]
        return 0

    return _PRINT(keep)


def _refusal(verb: str, messages: list[str]) -> str:
    said = " | ".join(messages) or "nothing"
    return (
        f"The kernel did not {verb} the layer-4 program. It needs the capabilities CAP_BPF, CAP_NET_ADMIN "
        f"and CAP_PERFMON, and a kernel from 6.1 on. libbpf said: {said}"
    )


def _walk(following: ctypes._NamedFuncPointer, handle: int) -> Iterator[int]:
    each = following(handle, None)
    while each:
        yield each
        each = following(handle, each)


def _name(raw: bytes) -> str:
    return raw.decode("ascii")


def _wanted(library: ctypes.CDLL, handle: int) -> dict[str, MapInfo]:
    return {
        _name(library.bpf_map__name(each)): MapInfo(
            library.bpf_map__type(each),
            library.bpf_map__key_size(each),
            library.bpf_map__value_size(each),
            library.bpf_map__max_entries(each),
            library.bpf_map__map_flags(each),
        )
        for each in _walk(library.bpf_object__next_map, handle)
    }


def _maps(library: ctypes.CDLL, handle: int) -> dict[str, Map]:
    maps: dict[str, Map] = {}
    for each in _walk(library.bpf_object__next_map, handle):
        name = _name(library.bpf_map__name(each))
        key, value = library.bpf_map__key_size(each), library.bpf_map__value_size(each)
        if name in VALUES and (key, value) != tuple(layout.size for layout in VALUES[name]):
            raise EngineError(
                f"The layer-4 object does not belong to this version: its map {name} has other sizes "
                f"than expected. Build it anew with make -C bpf, or reinstall Willis."
            )
        cpus = possible_cpus() if library.bpf_map__type(each) in _MAP_TYPES_PER_CPU else 1
        maps[name] = Map(os.dup(library.bpf_map__fd(each)), key, value, cpus)
    return maps


def _programs(library: ctypes.CDLL, handle: int) -> dict[str, int]:
    return {
        _name(library.bpf_program__name(each)): os.dup(library.bpf_program__fd(each))
        for each in _walk(library.bpf_object__next_program, handle)
    }
