"""The bench's hands in the kernel: its own programs, where they attach, and BPF_PROG_RUN."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sysconfig
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from pathlib import Path

from bench.topology import CLIENTS, GENERATOR_MAC, PORT, VIP, pin_folder, run
from willis.engines.ebpf.bpf import AttachType, Command, call, close_all, create_link
from willis.engines.ebpf.libbpf import Loaded, load

FRAME_BYTES = 60
"""The smallest Ethernet frame without its check sum."""
_SOURCE = Path(__file__).with_name("generator.bpf.c")
_LIVE_FRAMES = 2
_BATCH = 64
"""Live frames a turn: one NAPI budget, so that a turn is one poll of each device."""
_KEY = bytes(4)
"""All maps of the bench have one entry."""


class Hook(Enum):
    """Where a program sits; the value ends the names of the bench's programs for it."""

    XDP = "xdp"
    TC = "tc"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the programs write into each frame: ``struct plan`` of the source."""

    dmac: str
    ifindex: int
    sources: int = 0
    """Sources that the wrappers go through, less one; a mask."""

    def packed(self) -> bytes:
        macs = bytes.fromhex((self.dmac + GENERATOR_MAC).replace(":", ""))
        where = ip_address(CLIENTS).packed + ip_address(VIP).packed + PORT.to_bytes(2)
        return macs + where + struct.pack("=HIII", 0, self.ifindex, self.sources, 0)


class Programs:
    """One loaded copy of the bench's object."""

    def __init__(self, loaded: Loaded) -> None:
        self._maps, self._programs = loaded.maps, loaded.programs

    @classmethod
    @contextmanager
    def load(cls, image: bytes, bpffs: Path) -> Iterator[Programs]:
        with ExitStack() as stack:
            loaded = load(image, stack.enter_context(pin_folder(bpffs)))
            stack.callback(close_all, [each.fd for each in loaded.maps.values()])
            stack.callback(close_all, loaded.programs.values())
            yield cls(loaded)

    def plan(self, plan: Plan) -> None:
        self._maps["plans"].update(_KEY, plan.packed())

    def arrived(self) -> int:
        """Frames that the sink of this copy has counted."""
        return int.from_bytes(self._maps["arrived"].lookup(_KEY) or b"", "little")

    @contextmanager
    def attached(self, role: str, interface: str, hook: Hook) -> Iterator[None]:
        """``sink``, ``answer`` or ``redirect`` on ``interface``, where the calling thread stands."""
        kind = AttachType.XDP if hook is Hook.XDP else AttachType.TCX_INGRESS
        program = self._programs[f"{role}_{hook.value}"]
        link = create_link(program, socket.if_nametoindex(interface), kind)
        try:
            yield
        finally:
            os.close(link)

    def generate(self, frames: int) -> float:
        """Send ``frames`` live frames; the CPU time of this thread in ns a frame."""
        return _timed(self._programs["generate"], bytes(FRAME_BYTES), None, frames, b"", live=True)

    def aim(self, hook: Hook, program: int | None) -> None:
        """Let the wrapper of ``hook`` call ``program``, by its descriptor; None: the empty one."""
        fd = self._programs[f"empty_{hook.value}"] if program is None else program
        self._maps[f"target_{hook.value}"].update(_KEY, fd.to_bytes(4, "little"))

    def repeat(self, hook: Hook, frame: bytes, ifindex: int, runs: int) -> tuple[float, bytes]:
        """Give the wrapper ``frame``, come in by ``ifindex``: ns a run, and the frame after the last."""
        if hook is Hook.XDP:  # struct xdp_md: where the frame ends and where it came in
            context = struct.pack("=IIIIII", 0, len(frame), 0, ifindex, 0, 0)
        else:  # struct __sk_buff: ifindex alone
            context = struct.pack("=40xI", ifindex).ljust(192, b"\0")
        after = ctypes.create_string_buffer(len(frame))
        cost = _timed(self._programs[f"wrap_{hook.value}"], frame, after, runs, context)
        return cost, after.raw


def build(folder: Path) -> bytes:
    """Compile the bench's programs in ``folder``."""
    made = folder / "generator.o"
    headers = f"-I/usr/include/{sysconfig.get_config_var('MULTIARCH')}"
    options = ["-O2", "-g", "-Wall", "-target", "bpf", "-mcpu=v3", headers]
    run(["clang", *options, "-c", str(_SOURCE), "-o", str(made)])
    return made.read_bytes()


def _timed(
    program: int,
    frame: bytes,
    after: ctypes.Array[ctypes.c_char] | None,
    runs: int,
    context: bytes,
    live: bool = False,
) -> float:
    """One BPF_PROG_RUN: CPU ns of this thread a run. Being preempted does not count."""
    given, where = ctypes.create_string_buffer(frame), ctypes.create_string_buffer(context)
    attributes = struct.pack(
        "=IIIIQQIIIIQQIII",
        *(program, 0, len(frame), len(after) if after else 0),
        *(ctypes.addressof(given), ctypes.addressof(after) if after else 0),
        *(runs, 0, len(context), 0, ctypes.addressof(where) if context else 0, 0),
        *((_LIVE_FRAMES, 0, _BATCH) if live else (0, 0, 0)),
    )
    before = time.thread_time_ns()
    call(Command.PROG_RUN, attributes)
    return (time.thread_time_ns() - before) / runs
