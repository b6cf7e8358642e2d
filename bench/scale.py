"""``./dev bench scale``: how long layer 4 takes over 1,000 services with 10 real servers each.

The engine runs in a namespace of its own, filled the public way. Every try starts from
nothing. Times are of the wall clock, because half of a swap is waiting for the kernel.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from ipaddress import ip_address, ip_interface
from pathlib import Path
from statistics import median

from rich.console import Group
from rich.table import Table

from bench.engine import copy, up
from bench.topology import (
    BACK,
    FRONT,
    PORT,
    Unable,
    bed,
    inside,
    need,
    pin_folder,
    private_bpffs,
    server_address,
)
from willis.engines.ebpf.book import Book
from willis.engines.ebpf.bpf import Map, close_all, make_table
from willis.engines.ebpf.driver import EbpfEngine
from willis.engines.ebpf.entries import TableEntry
from willis.engines.ebpf.layout import INDEX
from willis.engines.ebpf.table import pack_table
from willis.model.check import Check
from willis.model.config import Config
from willis.model.node import Host, Interface
from willis.model.service import Forwarding, RealServer, VirtualService
from willis.model.status import Status
from willis.plan.diff import Artefacts, Change, diff
from willis.terminal import table as plain_table

_SERVICES, _SERVERS, _HOSTS = 1000, 10, 200
_HEAVY_FIRST = tuple(range(100, 50, -5))
_HEAVY_LAST = tuple(reversed(_HEAVY_FIRST))
_LIMIT_S = 40
"""A try is begun only within this time of the start."""

COMPILE = "compile"
FULL = "full apply from nothing"
IDLE = "pass that changes nothing"
WEIGHTS = "apply other weights everywhere"
FILL = "of that, fill 1,000 tables"
WRITE = "of that, write 1,000 tables"
TARGETS_S = {FULL: 3.0, WEIGHTS: 0.5, WRITE: 0.5}
_MAPS = {"flows": "flow", "clients": "persistent client"}


@dataclass(frozen=True, slots=True)
class Time:
    """Seconds over all tries. The median is held against the target."""

    what: str
    min: float
    median: float
    max: float
    target: float | None

    @property
    def met(self) -> bool:
        return self.target is None or self.median <= self.target


@dataclass(frozen=True, slots=True)
class Memory:
    """What one map takes of the kernel's memory, all its entries being there."""

    what: str
    entries: int
    bytes_each: float


@dataclass(frozen=True, slots=True)
class Figures:
    tries: int
    times: tuple[Time, ...]
    memory: tuple[Memory, ...]

    def as_json(self) -> dict[str, object]:
        return {"services": _SERVICES, "servers": _SERVERS, **asdict(self)}


def measure(tries: int, tell: Callable[[str], None]) -> Figures:
    """Do everything ``tries`` times (1 to 100), as far as the time allows. Raises Unable, in one sentence."""
    need("ip", "ethtool")
    end = time.monotonic() + _LIMIT_S
    found: dict[str, list[float]] = {}
    memory: tuple[Memory, ...] = ()
    done = 0
    with private_bpffs() as bpffs, bed(_HOSTS) as wire, inside(wire.balancer):
        for number in range(tries):
            if time.monotonic() > end:
                tell(f"stopped after {number} tries: {_LIMIT_S} s have passed")
                break
            tell(f"try {number + 1} of {tries}")
            with _Try(bpffs) as one:
                one.run()
                memory = one.memory()
            for what, seconds in one.times.items():
                found.setdefault(what, []).append(seconds)
            done += 1
    times = tuple(
        Time(what, min(each), median(each), max(each), TARGETS_S.get(what)) for what, each in found.items()
    )
    return Figures(done, times, memory)


def table(figures: Figures) -> Group:
    """What a terminal of 80 columns shows."""
    tries = "1 try" if figures.tries == 1 else f"{figures.tries} tries"
    return Group(
        f"{_SERVICES:,} services x {_SERVERS} real servers, {tries}: seconds",
        _times_table(figures.times),
        "\nThe kernel's memory, every entry being there",
        _memory_table(figures.memory),
    )


def _times_table(times: tuple[Time, ...]) -> Table:
    shown = plain_table("what", "min", "median", "max", "target")
    for each in times:
        target = "" if each.target is None else f"{each.target:.1f}: {'met' if each.met else 'missed'}"
        shown.add_row(each.what, *(f"{s:.3f}" for s in (each.min, each.median, each.max)), target)
    return shown


def _memory_table(memory: tuple[Memory, ...]) -> Table:
    shown = plain_table("of each", "bytes", "entries", "MB")
    for each in memory:
        total = each.bytes_each * each.entries / 1e6
        shown.add_row(each.what, f"{each.bytes_each:.0f}", f"{each.entries:,}", f"{total:.1f}")
    return shown


class _Try:
    """An engine that holds nothing, until it has gone through everything once."""

    def __init__(self, bpffs: Path) -> None:
        self.times: dict[str, float] = {}
        self._stack = ExitStack()
        self._pins = self._stack.enter_context(pin_folder(bpffs))
        self._engine = EbpfEngine(self._pins)
        self._stack.callback(self._engine.close)

    def __enter__(self) -> _Try:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self) -> None:
        first, second = _site(_HEAVY_FIRST), _site(_HEAVY_LAST)
        status = up(first)
        with self._timed(COMPILE):
            self._engine.compile(first, status)
        with self._timed(FULL):
            self._engine.apply(self._changes(first, status))
        with self._timed(IDLE):
            self._settled(first, status)
        changes = self._changes(second, status)
        with self._timed(WEIGHTS):
            self._engine.apply(changes)
        self._settled(second, status)
        self._swap(self._engine.compile(first, status))
        self._settled(first, status)

    def memory(self) -> tuple[Memory, ...]:
        with copy(self._pins) as loaded:
            return tuple(_memory(what, loaded.maps[name]) for name, what in _MAPS.items())

    def _changes(self, config: Config, status: Status) -> tuple[Change, ...]:
        want = self._engine.compile(config, status)
        return diff(self._engine.name, self._engine.observe(), want)

    def _settled(self, config: Config, status: Status) -> None:
        changes = self._changes(config, status)
        if changes:
            raise Unable(
                f"The engine still differs in {len(changes)} places; its figures would mean nothing."
            )

    def _swap(self, want: Artefacts) -> None:
        """The two halves of a swap apart: what the apply does to the tables, and nothing else."""
        with copy(self._pins) as loaded:
            book = Book(loaded.maps)
            numbers = {name: label.number for name, label in book.services().items()}
            slots: dict[int, dict[str, int]] = {number: {} for number in numbers.values()}
            for slot in book.slots().values():
                slots[slot.service][slot.host] = slot.number
            with self._timed(FILL):
                filled = {
                    number: pack_table(entry, slots[number])
                    for name, number in numbers.items()
                    if isinstance(entry := want[f"table/{name}"], TableEntry)
                }
            with self._timed(WRITE):
                _write(loaded.maps["tables"], filled)

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.times[what] = time.perf_counter() - began


def _write(tables: Map, filled: Mapping[int, bytes]) -> None:
    made: list[int] = []
    try:
        for words in filled.values():
            made.append(make_table(words))
        pairs = zip(filled, made, strict=True)
        tables.update_batch([(INDEX.pack(number), INDEX.pack(fd)) for number, fd in pairs])
    finally:
        close_all(made)


def _memory(what: str, held: Map) -> Memory:
    """From proc(5), fdinfo of a map: ``memlock`` is what the kernel counts for it."""
    lines = Path(f"/proc/self/fdinfo/{held.fd}").read_text().splitlines()
    info = dict(line.split(":", 1) for line in lines)
    entries = int(info["max_entries"])
    return Memory(what, entries, int(info["memlock"]) / entries)


def _site(weights: tuple[int, ...]) -> Config:
    """Direct routing and least connections, as most sites have it. No two services have one pool."""
    hosts = tuple(Host(f"h{i}", ip_address(server_address(i))) for i in range(_HOSTS))
    return Config(
        site="bench",
        interfaces=(Interface("b0", (ip_interface(FRONT),)), Interface("b1", (ip_interface(BACK),))),
        hosts=hosts,
        services=tuple(_service(number, hosts, weights) for number in range(_SERVICES)),
    )


def _service(number: int, hosts: tuple[Host, ...], weights: tuple[int, ...]) -> VirtualService:
    """Every ``step``-th host from one on: another one for each of the hosts, and so on with other steps."""
    step, first = divmod(number, _HOSTS)
    pool = (hosts[(first + i * (step + 1)) % _HOSTS] for i in range(_SERVERS))
    return VirtualService(
        name=f"service{number}",
        vip=ip_address(f"10.60.{16 + number // 250}.{1 + number % 250}"),
        ports=(PORT,),
        forwarding=Forwarding.DR,
        check=Check(),
        pool=tuple(
            RealServer(host.name, host.address, weight=weight)
            for host, weight in zip(pool, weights, strict=True)
        ),
    )
