"""The pinned maps read back as artefacts: exactly what ``compile_l4`` would give for the same state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from willis.engines import rtnetlink
from willis.engines.ebpf import bpf, layout
from willis.engines.ebpf.attach import Hooks
from willis.engines.ebpf.book import Book, ServiceLabel, Slot
from willis.engines.ebpf.entries import (
    FallbackEntry,
    MemberEntry,
    ServiceEntry,
    Share,
    TableEntry,
    Unfinished,
)
from willis.engines.ebpf.layout import SlotState
from willis.engines.ebpf.libbpf import Loaded
from willis.engines.ebpf.table import read_pool
from willis.model.persistence import SourcePersistence
from willis.model.service import Protocol, Timeouts
from willis.plan.diff import Artefacts
from willis.plan.members import Standing

PROTOCOL_NUMBERS = {Protocol.TCP: 6, Protocol.UDP: 17}
STATES = {
    Standing.OPEN: SlotState.OPEN,
    Standing.DRAIN: SlotState.DRAIN,
    Standing.DOWN: SlotState.DOWN,
}
_PROTOCOLS = {number: protocol for protocol, number in PROTOCOL_NUMBERS.items()}
_STANDINGS = {state: standing for standing, state in STATES.items()}


def observe(loaded: Loaded, book: Book, hooks: Hooks) -> Artefacts:
    """All that the engine holds, without what is leaving."""
    artefacts: dict[str, Hashable] = {}
    for interface, attachment in hooks.attached(rtnetlink.links()).items():
        artefacts[f"attach/{interface}"] = attachment
    slots = book.slots()
    rows = service_rows(loaded)
    timeouts = book.timeouts()
    labels = {label.number: label for label in book.services().values() if not label.leaving}
    for label in labels.values():
        artefacts[f"service/{label.name}"] = service_entry(rows[label.number], timeouts(label.number))
        artefacts.update(_table(loaded, label, slots))
    for slot in slots.values():
        if slot.service in labels and not slot.fallback and slot.state in _STANDINGS:
            key = f"member/{labels[slot.service].name}/{slot.host}"
            standing = _STANDINGS[slot.state]
            artefacts[key] = MemberEntry(slot.address, slot.interface, standing, slot.mark)
    fallbacks: dict[int, list[Slot]] = defaultdict(list)
    for slot in slots.values():
        if slot.fallback and slot.state in _STANDINGS:
            fallbacks[slot.service].append(slot)
    for number, label in labels.items():
        artefacts.update(_fallback(label, fallbacks[number], rows[number]))
    return artefacts


@dataclass(frozen=True, slots=True)
class Row:
    """One port of a service, as the program reads it."""

    key: bytes
    value: bytes

    @property
    def fallback(self) -> int:
        return int(layout.SERVICE.unpack(self.value)[1])


def service_rows(loaded: Loaded) -> dict[int, list[Row]]:
    """The ports of all services by the service's number; empty for a number that has none."""
    rows: dict[int, list[Row]] = defaultdict(list)
    for key, value in loaded.maps["services"].items():
        rows[layout.SERVICE.unpack(value)[0]].append(Row(key, value))
    return rows


def service_entry(rows: list[Row], timeouts: Timeouts) -> ServiceEntry | Unfinished:
    """The service that these ports make up, if they agree on everything else."""
    if not rows or len({row.value for row in rows}) > 1:
        return Unfinished()
    keys = [layout.SERVICE_KEY.unpack(row.key) for row in rows]
    if len({(vip, protocol) for vip, _, protocol in keys}) > 1:
        return Unfinished()
    vip = layout.unpack_address(keys[0][0])
    _, _, ticks, mask, translated, one_packet = layout.SERVICE.unpack(rows[0].value)
    return ServiceEntry(
        vip,
        _PROTOCOLS[keys[0][2]],
        tuple(sorted(int.from_bytes(port) for _, port, _ in keys)),
        SourcePersistence(layout.seconds(ticks), layout.unpack_mask(mask, vip.version)) if ticks else None,
        bool(translated),
        bool(one_packet),
        timeouts,
    )


def _fallback(label: ServiceLabel, own: list[Slot], rows: list[Row]) -> dict[str, Hashable]:
    """The fallback server, if the slot and the service know of each other."""
    referred = {row.fallback for row in rows}
    key = f"fallback/{label.name}"
    if not own and referred <= {0}:
        return {}
    if len(own) != 1 or referred != {own[0].number}:
        return {key: Unfinished()}
    slot = own[0]
    standing = _STANDINGS[slot.state]
    return {key: FallbackEntry(slot.host, slot.address, slot.interface, standing, slot.mark)}


def _table(loaded: Loaded, label: ServiceLabel, slots: Mapping[int, Slot]) -> dict[str, Hashable]:
    found = read_pool(_reader(loaded.programs["willis_read_table"], label.number))
    if found is None:
        return {}
    scheduler, pool = found
    shares = [
        Share(slots[slot].host, slots[slot].address, weight, slots[slot].mark)
        for slot, weight in pool
        if slot in slots and slots[slot].service == label.number
    ]
    return {f"table/{label.name}": TableEntry(scheduler, tuple(shares))}


def _reader(program: int, service: int) -> Callable[[int], tuple[int, ...] | None]:
    def read(first: int) -> tuple[int, ...] | None:
        context = layout.TABLE_ARGS.pack(service, first, *([0] * layout.TABLE_READ))
        failed, answer = bpf.run_syscall(program, context)
        return None if failed else layout.TABLE_ARGS.unpack(answer)[2:]

    return read
