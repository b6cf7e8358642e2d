"""Making changes in the order in which no packet meets half of one.

First whoever takes new connections, then the tables that name them, then who no
longer takes any, then the ports, then the hooks. Tables are swapped in one batch.
Cut anywhere, the maps are a state that ``observe`` tells from the wanted one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from willis.engines import rtnetlink
from willis.engines.ebpf import bpf, layout
from willis.engines.ebpf.attach import Hooks
from willis.engines.ebpf.book import Book, ServiceLabel, Slot
from willis.engines.ebpf.entries import Attachment, FallbackEntry, MemberEntry, ServiceEntry, TableEntry
from willis.engines.ebpf.layout import INDEX, SlotState
from willis.engines.ebpf.libbpf import Loaded
from willis.engines.ebpf.observe import PROTOCOL_NUMBERS, STATES, service_entry, service_rows
from willis.engines.ebpf.table import pack_table
from willis.model.node import Attach
from willis.model.service import Address
from willis.plan.diff import Change
from willis.plan.members import Standing


class Application:
    """One apply: the changes, and the labels and slots as they grow under it."""

    def __init__(
        self, loaded: Loaded, book: Book, hooks: Hooks, resolve: Callable[[Sequence[Slot]], None]
    ) -> None:
        self._maps = loaded.maps
        self._loaded = loaded
        self._book = book
        self._hooks = hooks
        self._resolve = resolve
        self._labels = book.services()
        self._free = book.free_slots(book.slots())
        self._slots = _by_service(book)

    def run(self, changes: Sequence[Change]) -> None:
        """Makes all changes. Raises OSError or EngineError; what is done by then stays."""
        members = [change for change in changes if change.kind in ("member", "fallback")]
        self._name_services(changes)
        self._leave(change for change in members if self._is_elsewhere(change))
        self._welcome(change for change in members if change.want is not None)
        self._swap_tables(change for change in changes if change.kind == "table")
        self._withhold(change for change in members if change.want is not None)
        self._write_ports(changes)
        self._leave(change for change in members if change.want is None)
        self._end_services(change for change in changes if change.kind == "service")
        self._set_hooks(change for change in changes if change.kind == "attach")

    def _name_services(self, changes: Sequence[Change]) -> None:
        for change in changes:
            name = _service_of(change)
            known = self._labels.get(name)
            if change.kind != "attach" and change.want is not None and (known is None or known.leaving):
                self._labels[name] = self._book.add_service(name, self._labels)
            if isinstance(change.want, ServiceEntry):
                self._book.set_timeouts(self._labels[name], change.want.timeouts)

    def _is_elsewhere(self, change: Change) -> bool:
        """Whether this is now another real server: the old one leaves before the new one comes."""
        slot = self._live_slot(change)
        return slot is not None and change.want is not None and slot.identity != _identity(change)

    def _welcome(self, changes: Iterable[Change]) -> None:
        """Adds new members and opens those that may take connections; knows their MACs when it returns."""
        welcomed = []
        for change in changes:
            slot = self._live_slot(change)
            entry = _entry(change)
            if slot is None:
                slot = self._place(change)
            if slot.state in (SlotState.FREE, SlotState.LEAVING) or entry.standing is Standing.OPEN:
                slot = replace(slot, state=STATES[entry.standing])
            elif slot.interface == entry.interface:
                continue
            slot = replace(slot, interface=entry.interface)
            self._book.add(slot)
            self._slots[slot.service][slot.number] = slot
            welcomed.append(slot)
        if welcomed:
            self._resolve(welcomed)
            self._slots = _by_service(self._book)

    def _swap_tables(self, changes: Iterable[Change]) -> None:
        tables: list[tuple[bytes, bytes]] = []
        descriptors = []
        try:
            for change in changes:
                if isinstance(change.want, TableEntry):
                    label = self._labels[_service_of(change)]
                    descriptors.append(bpf.make_table(pack_table(change.want, self._pool(label))))
                    tables.append((INDEX.pack(label.number), INDEX.pack(descriptors[-1])))
            self._maps["tables"].update_batch(tables)
        finally:
            bpf.close_all(descriptors)

    def _withhold(self, changes: Iterable[Change]) -> None:
        """Sets who drains and who is down, now that no table names them."""
        for change in changes:
            slot = self._live_slot(change)
            state = STATES[_entry(change).standing]
            if slot is not None and slot.state is not state:
                self._set_state(slot, state)

    def _leave(self, changes: Iterable[Change]) -> None:
        for change in list(changes):
            slot = self._live_slot(change)
            if slot is not None:
                self._set_state(slot, SlotState.LEAVING)

    def _write_ports(self, changes: Sequence[Change]) -> None:
        """Writes the ports of every service that changed, then removes those that nobody wants.

        A port that passes from one service to another is overwritten, never missing.
        """
        touched = {_service_of(c): c for c in changes if c.kind == "fallback"}
        touched |= {_service_of(c): c for c in changes if c.kind == "service"}
        orphaned = {_service_of(c) for c in changes if c.kind == "fallback" and c.want is None}
        rows = service_rows(self._loaded)
        timeouts = self._book.timeouts()
        written: dict[bytes, bytes] = {}
        stale: set[bytes] = set()
        for name, change in touched.items():
            label = self._labels.get(name)
            if label is None:
                continue
            own = rows[label.number]
            known = service_entry(own, timeouts(label.number))
            entry = change.want if change.kind == "service" else known
            stale |= {row.key for row in own}
            if isinstance(entry, ServiceEntry):
                fallback = 0 if name in orphaned else self._fallback_of(label)
                written |= self._ports(label, entry, fallback)
        for key, value in written.items():
            self._maps["services"].update(key, value)
        for key in stale - written.keys():
            self._maps["services"].delete(key)

    def _ports(self, label: ServiceLabel, entry: ServiceEntry, fallback: int) -> dict[bytes, bytes]:
        kept = entry.persistence
        ticks = layout.ticks(kept.timeout_s) if kept else 0
        mask = layout.pack_mask(kept.mask, entry.vip.version) if kept else bytes(16)
        value = layout.SERVICE.pack(label.number, fallback, ticks, mask, entry.translated, entry.one_packet)
        vip, protocol = layout.pack_address(entry.vip), PROTOCOL_NUMBERS[entry.protocol]
        return {layout.SERVICE_KEY.pack(vip, port.to_bytes(2), protocol): value for port in entry.ports}

    def _fallback_of(self, label: ServiceLabel) -> int:
        return next((s.number for s in self._live(label) if s.fallback), 0)

    def _end_services(self, changes: Iterable[Change]) -> None:
        for change in changes:
            label = self._labels.get(_service_of(change))
            if change.want is None and label is not None:
                self._maps["tables"].delete(INDEX.pack(label.number))
                self._book.name_service(replace(label, leaving=True))

    def _set_hooks(self, changes: Iterable[Change]) -> None:
        for change in changes:
            interface = change.key.partition("/")[2]
            wanted = change.want.hooks if isinstance(change.want, Attachment) else ()
            links = rtnetlink.links()
            for hook in wanted:
                self._hooks.attach(interface, hook, links)
            for hook in set(Attach) - set(wanted):
                self._hooks.detach(interface, hook, links)

    def _live(self, label: ServiceLabel) -> list[Slot]:
        return [slot for slot in self._slots[label.number].values() if not slot.leaving]

    def _pool(self, label: ServiceLabel) -> dict[str, int]:
        return {s.host: s.number for s in self._live(label) if not s.fallback}

    def _live_slot(self, change: Change) -> Slot | None:
        """The slot of the host that the change is about; for a fallback the service's only one."""
        label = self._labels.get(_service_of(change))
        if label is None:
            return None
        live = [s for s in self._live(label) if s.fallback == (change.kind == "fallback")]
        if change.kind == "fallback":
            return next(iter(live), None)
        return next((s for s in live if s.host == _host(change)), None)

    def _place(self, change: Change) -> Slot:
        """A slot for a new member: the one that the same real server left, while its connections last."""
        entry = _entry(change)
        host, address, fallback, mark = _identity(change)
        number = self._labels[_service_of(change)].number
        for slot in self._slots[number].values():
            if slot.leaving and slot.identity == (host, address, fallback, mark):
                return slot
        place = next(self._free)
        self._book.clear(place)
        return Slot(place, number, host, entry.interface, address, fallback, mark)

    def _set_state(self, slot: Slot, state: SlotState) -> None:
        changed = replace(slot, state=state)
        self._slots[slot.service][slot.number] = changed
        self._book.write(changed)


def _by_service(book: Book) -> defaultdict[int, dict[int, Slot]]:
    slots: defaultdict[int, dict[int, Slot]] = defaultdict(dict)
    for slot in book.slots().values():
        slots[slot.service][slot.number] = slot
    return slots


def _service_of(change: Change) -> str:
    return change.key.split("/")[1]


def _entry(change: Change) -> MemberEntry | FallbackEntry:
    if not isinstance(change.want, MemberEntry | FallbackEntry):
        raise TypeError(f"{change.key} must hold a member, not {change.want!r}")
    return change.want


def _identity(change: Change) -> tuple[str, Address, bool, int]:
    """That of the slot which the change asks for."""
    entry = _entry(change)
    return _host(change), entry.address, change.kind == "fallback", entry.mark


def _host(change: Change) -> str:
    if isinstance(change.want, FallbackEntry):
        return change.want.host
    return change.key.split("/")[2]
