"""What the maps need while nothing is applied: fresh MACs, the sweep, places that come free.

The loop calls for it about once a second. All of it may be late or left out
without breaking a connection.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

from willis.engines import rtnetlink
from willis.engines.ebpf import bpf, layout
from willis.engines.ebpf.attach import Hooks
from willis.engines.ebpf.book import Book, Slot
from willis.engines.ebpf.layout import INDEX
from willis.engines.ebpf.libbpf import Loaded
from willis.engines.rtnetlink import Link, Neighbour
from willis.model.service import Address, Timeouts

_SYN_NS = 60 * layout.SECOND_NS
_SWEEP_SHARE = 50
"""A sweep that took t waits 50 t for the next: it may use two per cent of a CPU."""
_PATIENCE_S = 0.3
_POLL_S = 0.01


class Upkeep:
    """Keeps a loaded object's maps in step with the wire and with time."""

    def __init__(self, loaded: Loaded, book: Book, hooks: Hooks) -> None:
        self._loaded = loaded
        self._book = book
        self._hooks = hooks
        self._next_sweep = 0.0
        self.flows = 0
        """How many the last sweep left."""
        self.clients = 0

    def refresh(self) -> None:
        """One round of everything."""
        links = rtnetlink.links()
        self._hooks.note_macs(links)
        slots = self._book.slots()
        unresolved = self._update(slots.values(), links)
        if unresolved:
            time.sleep(_POLL_S)  # whoever is there has answered by now
            self._update(unresolved, links)
        if time.monotonic() >= self._next_sweep:
            self.sweep(slots)
            self._collect(slots.values(), links)

    def resolve(self, slots: Iterable[Slot]) -> None:
        """Finds the MACs of new members; waits a moment for those that answer at once."""
        deadline = time.monotonic() + _PATIENCE_S
        waiting = list(slots)
        while True:
            waiting = self._update(waiting, rtnetlink.links())
            if not waiting or time.monotonic() >= deadline:
                return
            time.sleep(_POLL_S)

    def _update(self, slots: Iterable[Slot], links: Mapping[str, Link]) -> list[Slot]:
        """Writes the MACs that changed. Returns the slots that still need one."""
        known = rtnetlink.neighbours()
        unresolved = []
        slots = [slot for slot in slots if not slot.mark]
        for address in {(slot.interface, slot.address) for slot in slots}:
            _care_for(*address, links, known)
        for slot in slots:
            fresh = _addressed(slot, links, known)
            if fresh != slot:
                self._book.write(fresh)
            if not fresh.ifindex:
                unresolved.append(fresh)
        return unresolved

    def sweep(self, slots: Mapping[int, Slot]) -> None:
        """Ends silent flows and recounts every member's load."""
        began = time.monotonic()
        top = max(slots, default=0) + 1
        others = layout.TIMEOUTS.unpack(layout.pack_timeouts(Timeouts()))
        context = layout.SWEEP_ARGS.pack(_SYN_NS, *others, top, 0, 0, 0)
        _, answer = bpf.run_syscall(self._loaded.programs["willis_sweep"], context)
        *_, found, self.clients, expired = layout.SWEEP_ARGS.unpack(answer)
        self.flows = found - expired
        ended = time.monotonic()
        self._next_sweep = ended + _SWEEP_SHARE * (ended - began)

    def _collect(self, slots: Iterable[Slot], links: Mapping[str, Link]) -> None:
        """Frees what was leaving and carries nothing any more."""
        staying: list[Slot] = []
        gone: list[Slot] = []
        for slot in slots:
            (gone if slot.leaving and not self._flows_of(slot) else staying).append(slot)
        cared_for = {slot.address for slot in staying if not slot.mark}
        for slot in gone:
            self._book.drop(slot)
            if slot.address not in cared_for:
                self.abandon(slot, links)
        used = {slot.service for slot in staying}
        for label in self._book.services().values():
            if label.leaving and label.number not in used:
                self._book.drop_service(label)

    def longest(self, slots: Mapping[int, Slot]) -> dict[int, float]:
        """Seconds that the oldest open flow of each slot had lasted when the last sweep found it."""
        now = time.monotonic_ns()
        counted = self._loaded.maps["census"].leading(max(slots, default=-1) + 1)
        births = {number: layout.CENSUS.unpack(counted[number])[-1] for number in slots}
        return {number: max(0, now - born) / layout.SECOND_NS for number, born in births.items() if born}

    def _flows_of(self, slot: Slot) -> int:
        """How many flows of any state the last sweep found."""
        census = self._loaded.maps["census"].lookup(INDEX.pack(slot.number)) or bytes(layout.CENSUS.size)
        return int(layout.CENSUS.unpack(census)[3])

    def abandon(self, slot: Slot, links: Mapping[str, Link]) -> None:
        """Ends the kernel's care for a member's MAC, if it had that."""
        link = links.get(slot.interface)
        if link is not None:
            _forget(link.index, slot)


def _addressed(slot: Slot, links: Mapping[str, Link], known: Mapping[tuple[int, Address], Neighbour]) -> Slot:
    """The slot with the MACs that lead to it now.

    A MAC that was known stays until another is: whether a silent host is dead,
    the checks decide.
    """
    link = links.get(slot.interface)
    if link is None:
        return replace(slot, ifindex=0)
    neighbour = known.get((link.index, slot.address))
    if neighbour is not None and neighbour.mac is not None:
        return replace(slot, ifindex=link.index, mac=neighbour.mac, source_mac=link.mac)
    return replace(slot, source_mac=link.mac) if slot.ifindex == link.index else replace(slot, ifindex=0)


def _care_for(
    interface: str,
    address: Address,
    links: Mapping[str, Link],
    known: Mapping[tuple[int, Address], Neighbour],
) -> None:
    """Has the kernel resolve an address that has no MAC, and keep fresh one that has."""
    link = links.get(interface)
    if link is None:
        return
    neighbour = known.get((link.index, address))
    if neighbour is not None and neighbour.kept and neighbour.mac is not None:
        return
    try:
        rtnetlink.keep(link.index, address)
    except OSError as error:
        if error.errno not in (errno.ENETDOWN, errno.ENODEV, errno.ENETUNREACH, errno.EINVAL):
            raise  # a device that is down answers later


def _forget(index: int, slot: Slot) -> None:
    try:
        rtnetlink.forget(index, slot.address)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise
