"""Which number stands for which name: services and member slots, kept in the pinned maps themselves.

The program knows numbers only. The labels beside them are what a restarted
daemon reads to find everything as it was; a number without a label is free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from willis.engines.ebpf import layout
from willis.engines.ebpf.bpf import Map
from willis.engines.ebpf.layout import INDEX, SlotState
from willis.engines.port import EngineError
from willis.model.service import Address, Timeouts


@dataclass(frozen=True, slots=True)
class ServiceLabel:
    """A service's number and name. One that is leaving waits for its members' last flows."""

    number: int
    name: str
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Slot:
    """One real server in one pool (or its fallback server), as the program sees it.

    One with a mark is reached by the stack: interface, ifindex and MACs stay empty.
    """

    number: int
    service: int
    host: str
    interface: str
    address: Address
    fallback: bool = False
    mark: int = 0
    state: SlotState = SlotState.FREE
    ifindex: int = 0
    """0: its MAC is not known, so nothing can be sent to it."""
    mac: bytes = bytes(6)
    source_mac: bytes = bytes(6)

    @property
    def identity(self) -> tuple[str, Address, bool, int]:
        """What makes it the same real server, whose connections go on."""
        return self.host, self.address, self.fallback, self.mark

    @property
    def leaving(self) -> bool:
        return self.state is SlotState.LEAVING


class Book:
    """Reads and writes labels and slots. Slot 0 means "none" and is never given away."""

    def __init__(self, maps: Mapping[str, Map]) -> None:
        self._maps = maps

    def services(self) -> dict[str, ServiceLabel]:
        """All labelled services by name."""
        found = {}
        for key, value in self._maps["service_labels"].items():
            name, leaving = layout.SERVICE_LABEL.unpack(value)
            label = ServiceLabel(INDEX.unpack(key)[0], layout.unpack_text(name), bool(leaving))
            found[label.name] = label
        return found

    def slots(self) -> dict[int, Slot]:
        """All labelled slots by number."""
        labels = {INDEX.unpack(key)[0]: value for key, value in self._maps["member_labels"].items()}
        members = self._maps["members"].leading(max(labels, default=-1) + 1)
        return {number: _slot(number, label, members[number]) for number, label in labels.items()}

    def name_service(self, label: ServiceLabel) -> None:
        value = layout.SERVICE_LABEL.pack(layout.pack_text(label.name), label.leaving)
        self._maps["service_labels"].update(INDEX.pack(label.number), value)

    def add_service(self, name: str, known: Mapping[str, ServiceLabel]) -> ServiceLabel:
        """Gives a service its number: the one it had if it has not quite gone, else a free one."""
        label = known.get(name)
        if label is not None:
            label = replace(label, leaving=False)
        else:
            taken = {each.number for each in known.values()}
            label = ServiceLabel(next(_free(taken, 0, layout.SERVICES, "virtual services")), name)
            self._clear("service_counts", label.number)
        self.name_service(label)
        return label

    def drop_service(self, label: ServiceLabel) -> None:
        self._maps["service_labels"].delete(INDEX.pack(label.number))

    def timeouts(self) -> Callable[[int], Timeouts]:
        """The time-outs by a service's number, as they are now."""
        values = self._maps["timeouts"].leading(layout.SERVICES)
        return lambda number: layout.unpack_timeouts(values[number])

    def set_timeouts(self, label: ServiceLabel, timeouts: Timeouts) -> None:
        self._maps["timeouts"].update(INDEX.pack(label.number), layout.pack_timeouts(timeouts))

    def write(self, slot: Slot) -> None:
        """Writes a slot's own part, which the program reads."""
        value = layout.MEMBER.pack(
            slot.mac, slot.source_mac, slot.ifindex, slot.state, slot.service, slot.mark
        )
        self._maps["members"].update(INDEX.pack(slot.number), value)

    def free_slots(self, known: Iterable[int]) -> Iterator[int]:
        """The numbers that are free beside the known ones, one after the other."""
        return _free({*known}, 1, layout.MEMBERS, "real servers")

    def clear(self, number: int) -> None:
        """Sets a slot's counters to nought before it is given away."""
        self._clear("loads", number)
        self._clear("server_counts", number)

    def add(self, slot: Slot) -> None:
        """Writes a slot and its label."""
        self.write(slot)
        label = layout.MEMBER_LABEL.pack(
            layout.pack_text(slot.host),
            layout.pack_text(slot.interface),
            layout.pack_address(slot.address),
            slot.service,
            slot.fallback,
        )
        self._maps["member_labels"].update(INDEX.pack(slot.number), label)

    def drop(self, slot: Slot) -> None:
        """Frees a slot that no flow refers to any more."""
        self._maps["members"].update(INDEX.pack(slot.number), bytes(layout.MEMBER.size))
        self._maps["member_labels"].delete(INDEX.pack(slot.number))

    def _clear(self, name: str, number: int) -> None:
        each = self._maps[name]
        each.update(INDEX.pack(number), bytes(each.value_bytes))


@lru_cache(maxsize=2 * layout.MEMBERS)
def _slot(number: int, label: bytes, member: bytes) -> Slot:
    """What the bytes say. Every pass reads every slot, and hardly one has changed since the last."""
    host, interface, address, service, fallback = layout.MEMBER_LABEL.unpack(label)
    mac, source_mac, ifindex, state, _, mark = layout.MEMBER.unpack(member)
    return Slot(
        number,
        service,
        layout.unpack_text(host),
        layout.unpack_text(interface),
        layout.unpack_address(address),
        bool(fallback),
        mark,
        SlotState(state),
        ifindex,
        mac,
        source_mac,
    )


def _free(taken: set[int], first: int, limit: int, what: str) -> Iterator[int]:
    yield from (number for number in range(first, limit) if number not in taken)
    raise EngineError(
        f"Layer 4 has no room for more {what}: all {limit} places are taken. Remove some first; "
        f"a place becomes free when the last connection of what was removed has ended."
    )
