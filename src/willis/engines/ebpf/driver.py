"""The layer-4 engine: the pinned program and maps behind the port that the loop knows.

Making an ``EbpfEngine`` loads the program and starts it or adopts what is
pinned: traffic that runs goes on, through the new program. ``close`` lets go and
leaves everything running; ``unload`` takes it all away.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from willis.engines import rtnetlink
from willis.engines.ebpf import fullness, layout, migrate
from willis.engines.ebpf.apply import Application
from willis.engines.ebpf.attach import Hooks
from willis.engines.ebpf.book import Book
from willis.engines.ebpf.bpf import close_all
from willis.engines.ebpf.compile import compile_l4
from willis.engines.ebpf.entries import FallbackEntry, MemberEntry, ServiceEntry
from willis.engines.ebpf.heartbeat import Heartbeat
from willis.engines.ebpf.libbpf import load
from willis.engines.ebpf.observe import observe, service_rows
from willis.engines.ebpf.sessions import Sessions
from willis.engines.ebpf.upkeep import Upkeep
from willis.engines.port import Client, EngineError, Traffic
from willis.model.config import Config
from willis.model.service import Address
from willis.model.status import Status
from willis.plan.diff import Artefacts, Change

PIN_DIR = Path("/sys/fs/bpf/willis")
_OBJECT = Path(__file__).with_name("willis_l4.o")
_BPF_FS_MAGIC = 0xCAFE4A11


@dataclass(frozen=True, slots=True)
class ServiceTraffic:
    """Counters of one virtual service since it began, of what clients sent."""

    packets: int
    bytes_in: int
    connections: int
    closed: int
    refused: int
    """Packets that neither a member nor the fallback server could take."""


class EbpfEngine:
    """Layer-4 forwarding in the network namespace of the calling thread.

    All methods may be called from any thread; they take turns. Those that touch
    interfaces or neighbours act in the caller's namespace, which must be the same.
    """

    name = "ebpf"

    def __init__(self, pin_dir: Path = PIN_DIR, object_path: Path | None = None) -> None:
        """Loads the program; starts, adopts, or takes over from another layout.

        Raises:
            EngineError: the object, libbpf, the bpffs or a capability is missing.
        """
        self._directory = pin_dir / layout.LAYOUT
        self._lock = threading.RLock()
        image = _read_object(object_path or _OBJECT)
        with _explained("start"):
            _require_bpffs(pin_dir)
            self._directory.mkdir(parents=True, exist_ok=True)
            older = migrate.find(pin_dir)
            sharing = None if older is None else migrate.sharing(older, self._directory)
            self._loaded = load(image, self._directory, sharing)
            self._book = Book(self._loaded.maps)
            self._hooks = Hooks(self._directory / "hooks", self._loaded.programs, self._loaded.maps["links"])
            self._upkeep = Upkeep(self._loaded, self._book, self._hooks)
            if older is not None:
                migrate.take_over(older, self._directory, self._loaded.maps)
            self._hooks.adopt(rtnetlink.links())
            if older is not None:
                migrate.catch_up(older, self._loaded.maps)
                migrate.remove(older)
            self._heartbeat = Heartbeat(self._loaded.maps["heartbeat"])

    def compile(self, config: Config, status: Status) -> Artefacts:
        return compile_l4(config, status)

    def observe(self) -> Artefacts:
        with self._lock, _explained("be read"):
            return observe(self._loaded, self._book, self._hooks)

    def check(self, want: Artefacts) -> None:
        """Refuses what has no room in the maps and interfaces that do not exist."""
        with self._lock, _explained("be checked"):
            held = self._hooks.attached(rtnetlink.links())
            present = rtnetlink.links()
        for key in want:
            kind, _, rest = key.partition("/")
            if kind == "attach" and rest not in present and rest not in held:
                raise EngineError(
                    f"Layer 4 cannot be attached to interface {rest}, because this node has none of that "
                    f"name. Correct the name in the document; the node has {', '.join(sorted(present))}."
                )
        servers = sum(isinstance(entry, MemberEntry | FallbackEntry) for entry in want.values())
        services = [entry for entry in want.values() if isinstance(entry, ServiceEntry)]
        for count, limit, what in (
            (len(services), layout.SERVICES, "virtual services"),
            (sum(len(entry.ports) for entry in services), layout.PORTS, "ports of virtual services"),
            (servers, layout.MEMBERS - 1, "real servers"),
        ):
            if count > limit:
                raise EngineError(
                    f"Layer 4 has room for {limit} {what} and the document has {count}. Remove some."
                )

    def apply(self, changes: Sequence[Change]) -> None:
        """Makes the changes so that no packet meets half of one.

        A machine that dies in the middle leaves a state from which the next
        ``observe``, diff and ``apply`` arrive at the wanted one.
        """
        with self._lock, _explained("be changed"):
            Application(self._loaded, self._book, self._hooks, self._upkeep.resolve).run(changes)

    def refresh(self) -> None:
        """Upkeep, to be called about once a second: MACs, time-outs, places that come free."""
        with self._lock, _explained("be refreshed"):
            self._upkeep.refresh()
            self._heartbeat.beat()

    def traffic(self) -> dict[tuple[str, str], Traffic]:
        """Counters by (service, host), of members that are leaving too."""
        with self._lock, _explained("be read"):
            names = {label.number: name for name, label in self._book.services().items()}
            slots = self._book.slots()
            top = max(slots, default=-1) + 1
            loads = self._loaded.maps["loads"].leading(top)
            counts = self._loaded.maps["server_counts"]
            counted = counts.leading(top)
            found: dict[tuple[str, str], Traffic] = {}
            for number, slot in slots.items():
                place = (names.get(slot.service, ""), slot.host)
                before = found.get(place, Traffic())
                active, _, half_open = layout.LOAD.unpack(loads[number])
                _, size, connections, _, _ = counts.sums(counted[number], layout.COUNTS)
                found[place] = Traffic(
                    before.active + max(0, active - half_open),
                    before.total + connections,
                    before.bytes_in + size,
                )
            return found

    def longest(self) -> dict[tuple[str, str], float]:
        """How long the oldest flow of each server has lasted, as far as this node has seen it."""
        with self._lock, _explained("be read"):
            names = {label.number: name for name, label in self._book.services().items()}
            slots = self._book.slots()
            found: dict[tuple[str, str], float] = {}
            for number, seconds in self._upkeep.longest(slots).items():
                place = (names.get(slots[number].service, ""), slots[number].host)
                found[place] = max(found.get(place, 0.0), seconds)
            return found

    def services(self) -> dict[str, ServiceTraffic]:
        """Counters by service."""
        with self._lock, _explained("be read"):
            labels = self._book.services()
            counts = self._loaded.maps["service_counts"]
            counted = counts.leading(max((label.number for label in labels.values()), default=-1) + 1)
            return {
                name: ServiceTraffic(*counts.sums(counted[label.number], layout.COUNTS))
                for name, label in labels.items()
            }

    def alarms(self) -> tuple[str, ...]:
        """Tables that are nearly full, and for a minute that nobody was here."""
        with self._lock, _explained("be read"):
            labels = self._book.services().values()
            used = (
                (fullness.FLOWS, self._upkeep.flows),
                (fullness.CLIENTS, self._upkeep.clients),
                (fullness.MEMBERS, len(self._book.slots())),
                (fullness.SERVICES, len(labels)),
                (fullness.PORTS, sum(map(len, service_rows(self._loaded).values()))),
            )
            return (*self._heartbeat.alarms(), *fullness.alarms(used))

    def clients(self, service: str) -> list[Client]:
        """The clients that persistence ties to a server of the service."""
        with self._lock, _explained("be read"):
            return Sessions(self._loaded, self._book, service).listed()

    def forget(self, service: str, client: Address | None = None) -> int:
        """Ends the tie of one client, or of all; connections stay. Returns how many ended."""
        with self._lock, _explained("be changed"):
            return Sessions(self._loaded, self._book, service).forget(client)

    def close(self) -> None:
        with self._lock:
            close_all(each.fd for each in self._loaded.maps.values())
            close_all(self._loaded.programs.values())

    def unload(self) -> None:
        """Detaches the program and removes every pin; connections through this node break."""
        with self._lock, _explained("be unloaded"):
            links = rtnetlink.links()
            for slot in self._book.slots().values():
                self._upkeep.abandon(slot, links)
            self._hooks.detach_all(links)
            for name in self._loaded.maps:
                (self._directory / name).unlink(missing_ok=True)
            (self._directory / "hooks").rmdir()
            self._directory.rmdir()
            self.close()


def _read_object(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EngineError(
            f"Layer 4 cannot start, because its program cannot be read: {path}: {error.strerror}. "
            f"Build it with 'make -C bpf' (clang, llvm, libbpf-dev), or install Willis from its wheel."
        ) from error


def _require_bpffs(pin_dir: Path) -> None:
    place = next(each for each in (pin_dir, *pin_dir.parents) if each.exists())
    # struct statfs begins with f_type, one machine word (statfs(2)); 256 bytes hold the rest
    buffer = ctypes.create_string_buffer(256)
    failed = ctypes.CDLL(None).statfs(bytes(place), buffer)
    if failed or ctypes.c_ulong.from_buffer(buffer).value != _BPF_FS_MAGIC:
        raise EngineError(
            f"Layer 4 cannot start, because {pin_dir} does not lie on a BPF file system. "
            f"Mount one: mount -t bpf bpf /sys/fs/bpf"
        )


@contextmanager
def _explained(verb: str) -> Iterator[None]:
    """Turns the kernel's refusals into sentences."""
    try:
        yield
    except OSError as error:
        remedy = "See the kernel's log (dmesg)."
        if error.errno in (errno.EPERM, errno.EACCES):
            remedy = (
                "Run Willis with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, "
                "and let it write to the BPF file system."
            )
        elif error.errno in (errno.E2BIG, errno.ENOSPC, errno.ENOMEM):
            remedy = "A map or the memory is full: remove services that are no longer needed."
        raise EngineError(
            f"Layer 4 could not {verb}: {os.strerror(error.errno or 0)} ({error}). {remedy}"
        ) from error
