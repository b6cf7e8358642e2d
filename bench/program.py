"""The engine's program alone: ns a packet by BPF_PROG_RUN, nothing received, nothing sent.

A wrapper of the bench restores the frame, gives it its source and tail-calls the engine's own
loaded program. The same wrapper around an empty program is the anchor.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from bench import engine
from bench.kernel import FRAME_BYTES, Hook, Plan, Programs
from bench.topology import CLIENTS, FRONT_MAC, GENERATOR_MAC, PORT, SINK_MAC, VIP, Unable, bed, index, inside

_SYN, _ACK = 0x02, 0x10
_MANY = 0xFFFFFF
"""A mask: so many sources that each packet begins a flow."""


@dataclass(frozen=True, slots=True)
class Packet:
    """What the program is given again and again."""

    name: str
    flags: int | None
    """TCP flags; None for UDP."""
    sources: int = 0


EMPTY = Packet("empty program", None)
PACKETS = (
    Packet("TCP, established", _ACK),
    Packet("UDP, known flow", None),
    Packet("TCP SYN, a new flow each", _SYN, _MANY),
)


def sample(
    hook: Hook, programs: bytes, bpffs: Path, runs: int, tries: int
) -> Mapping[Packet, tuple[float, ...]]:
    """ns a packet over ``tries`` times ``runs`` of each packet, on a freshly loaded engine."""
    with ExitStack() as stack:
        namespace = stack.enter_context(bed(3)).balancer
        pins = stack.enter_context(engine.running(engine.site(hook), namespace, bpffs))
        wrapper = stack.enter_context(Programs.load(programs, bpffs))
        front = index(namespace, "b0")
        stack.enter_context(inside(namespace))

        def timed(packet: Packet) -> tuple[float, ...]:
            wrapper.plan(Plan(FRONT_MAC, front, packet.sources))
            frame = _frame(packet.flags)
            return tuple(wrapper.repeat(hook, frame, front, runs)[0] for _ in range(tries))

        wrapper.aim(hook, None)
        costs = {EMPTY: timed(EMPTY)}
        wrapper.aim(hook, stack.enter_context(engine.program(pins, hook)))
        wrapper.plan(Plan(FRONT_MAC, front))
        for flags in (_SYN, _ACK, None):
            _sent(wrapper, hook, front, flags)
        return costs | {packet: timed(packet) for packet in PACKETS}


def _sent(wrapper: Programs, hook: Hook, front: int, flags: int | None) -> None:
    """Begin the known flows, and see that the program does forward."""
    _, after = wrapper.repeat(hook, _frame(flags), front, 1)
    if after[:6] != _mac(SINK_MAC):
        raise Unable(f"The engine's {hook.value} program does not forward; its figures would mean nothing.")


def _frame(flags: int | None) -> bytes:
    """60 bytes from the first client to the VIP: TCP with ``flags``, or UDP."""
    ethernet = _mac(FRONT_MAC) + _mac(GENERATOR_MAC) + b"\x08\x00"
    addresses = ip_address(CLIENTS).packed + ip_address(VIP).packed
    header = struct.pack("!BBHHHBBH", 0x45, 0, 46, 1, 0x4000, 64, 17 if flags is None else 6, 0)
    if flags is None:
        transport = struct.pack("!HHHH", 40000, PORT, 26, 0)
    else:
        transport = struct.pack("!HHIIBBHHH", 40000, PORT, 1, 1, 0x50, flags, 8192, 0, 0)
    return (ethernet + header + addresses + transport).ljust(FRAME_BYTES, b"\0")


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))
