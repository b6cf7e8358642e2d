"""The engine's program alone: ns a packet by BPF_PROG_RUN, nothing received, nothing sent.

A wrapper of the bench restores the frame, gives it its source and tail-calls the engine's own
loaded program. The same wrapper around an empty program is the anchor.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from bench import engine
from bench.engine import Policy
from bench.kernel import FRAME_BYTES, Hook, Plan, Programs
from bench.topology import CLIENTS, FRONT_MAC, GENERATOR_MAC, PORT, SINK_MAC, VIP, Unable, bed, index, inside
from willis.model.persistence import SourcePersistence
from willis.model.service import Scheduler

_SYN, _ACK = 0x02, 0x10
_MANY = 0xFFFFFF
"""A mask: so many sources that each packet begins a flow."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What the program is given again and again, and under which policy."""

    name: str
    flags: int | None
    """TCP flags; None for UDP."""
    sources: int = 0
    policy: Policy = Policy()
    target: float | None = None
    """Most that it may cost, in the cost of ``ESTABLISHED``."""


_UNCHANGED = 1.05
"""What policy may add to a packet of an established connection: nothing, but for noise."""
EMPTY = Probe("empty program", None)
ESTABLISHED = Probe("TCP, established", _ACK)
PROBES = (
    ESTABLISHED,
    Probe("TCP, established, wlc", _ACK, policy=Policy(Scheduler.WLC), target=_UNCHANGED),
    Probe(
        "TCP, established, persistence",
        _ACK,
        policy=Policy(persistence=SourcePersistence()),
        target=_UNCHANGED,
    ),
    Probe("TCP, established, 64 servers", _ACK, policy=Policy(servers=64), target=_UNCHANGED),
    Probe("UDP, known flow", None),
    *(
        Probe(
            f"TCP SYN, a new flow each, {scheduler}, {servers} servers",
            _SYN,
            _MANY,
            Policy(scheduler, servers),
        )
        for scheduler in (Scheduler.MH, Scheduler.WLC)
        for servers in (3, 10, 64)
    ),
)


def sample(
    hook: Hook, programs: bytes, bpffs: Path, runs: int, tries: int
) -> Mapping[Probe, tuple[float, ...]]:
    """ns a packet over ``tries`` times ``runs`` of each probe; a freshly loaded engine for each policy."""
    with ExitStack() as stack:
        namespace = stack.enter_context(bed(engine.MOST_SERVERS)).balancer
        wrapper = stack.enter_context(Programs.load(programs, bpffs))
        front = index(namespace, "b0")

        def timed(probe: Probe) -> tuple[float, ...]:
            wrapper.plan(Plan(FRONT_MAC, front, probe.sources))
            frame = _frame(probe.flags)
            with inside(namespace):
                return tuple(wrapper.repeat(hook, frame, front, runs)[0] for _ in range(tries))

        wrapper.aim(hook, None)
        costs = {EMPTY: timed(EMPTY)}
        for policy in dict.fromkeys(probe.policy for probe in PROBES):
            with _aimed(wrapper, hook, policy, namespace, bpffs):
                costs |= {probe: timed(probe) for probe in PROBES if probe.policy == policy}
        return {probe: costs[probe] for probe in (EMPTY, *PROBES)}


@contextmanager
def _aimed(wrapper: Programs, hook: Hook, policy: Policy, namespace: int, bpffs: Path) -> Iterator[None]:
    """The wrapper calls an engine that has this policy and knows the flows of the first client."""
    with (
        engine.running(engine.site(hook, policy), namespace, bpffs) as pins,
        engine.copy(pins) as loaded,
        inside(namespace),
    ):
        wrapper.aim(hook, loaded.programs[f"willis_{hook.value}"])
        front = index(namespace, "b0")
        wrapper.plan(Plan(FRONT_MAC, front))
        for flags in (_SYN, _ACK, None):
            _sent(wrapper, hook, front, flags)
        yield


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
