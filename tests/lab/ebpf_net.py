"""A small network for the layer-4 tests: a client, a node and three servers on one bridge.

    cl 10.77.0.10 (and .50 to .119) ─┐   and 10.78.0.50 to .119, behind the node for the servers
    lb 10.77.0.2, owns the VIPs ─────┤ br0
    s1 s2 s3 10.77.0.11 to .13 ──────┘   VIPs on lo, silent in ARP

Everything also has fd77:: addresses. All is in namespaces of its own, named
after this process, and goes away with ``Net.close``.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Any

import pytest

from willis.engines.ebpf import bpf, layout
from willis.engines.ebpf.book import Book, Slot
from willis.engines.ebpf.driver import EbpfEngine
from willis.model.check import Check
from willis.model.config import Config
from willis.model.node import Attach, Host, Interface
from willis.model.service import Forwarding, RealServer, Scheduler, VirtualService
from willis.model.status import Admin, Health, Place, Status, Verdict
from willis.plan.diff import diff
from willis.plan.marks import marks
from willis.plan.members import targets

VIP = "10.77.0.200"
VIP6 = "fd77::200"
PORT = 11112
NAMES = ("s1", "s2", "s3")
OBJECT = Path(__file__).parents[2] / "src/willis/engines/ebpf/willis_l4.o"
SOURCES = [f"10.77.0.{n}" for n in range(50, 120)]
ROUTED = [f"10.78.0.{n}" for n in range(50, 120)]
"""Clients in another subnet, to whom the servers answer through the node, as NAT needs it."""
_NEW_NET = 0x40000000
_NFT = """
table ip translate
flush table ip translate
table ip translate {
    chain before {
        type nat hook prerouting priority dstnat
        ct mark set meta mark
        dnat to meta mark map { 1 : 10.77.0.2SERVERS }
    }
    chain after {
        type nat hook postrouting priority srcnat
        meta mark { 1HIDDEN } masquerade
    }
}
"""


def missing() -> str | None:
    """Why these tests cannot run here; None if they can."""
    if os.geteuid() != 0:
        return "layer-4 tests need root, for network namespaces"
    if not OBJECT.exists():
        return "the layer-4 object is not built: make -C bpf"
    probe = subprocess.run(
        ["unshare", "--net", "true"], check=False, capture_output=True, text=True, timeout=10
    )
    return None if probe.returncode == 0 else f"no network namespaces here: {probe.stderr.strip()}"


_MISSING = missing()
LAB = [pytest.mark.lab, pytest.mark.skipif(_MISSING is not None, reason=str(_MISSING))]
"""The marks of every module that uses this network."""


def run(*argv: str, text: str | None = None) -> str:
    done = subprocess.run(argv, check=False, input=text, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr or done.stdout}")
    return done.stdout


class Namespace:
    """A network namespace, and a thread that lives in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = f"/run/netns/{name}"
        run("ip", "netns", "add", name)
        self._thread = ThreadPoolExecutor(1, initializer=self._enter)
        self.do("ip", "link", "set", "lo", "up")

    def _enter(self) -> None:
        fd = os.open(self.path, os.O_RDONLY)
        if ctypes.CDLL(None, use_errno=True).setns(fd, _NEW_NET):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(fd)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls a function in the namespace."""
        return self._thread.submit(function, *arguments).result(timeout=120)

    def do(self, *argv: str, text: str | None = None) -> str:
        return run("nsenter", f"--net={self.path}", *argv, text=text)

    def ip(self, *lines: str) -> None:
        self.do("ip", "-batch", "-", text="\n".join(lines) + "\n")

    def set(self, **values: int) -> None:
        """Kernel settings below ``net``; two underscores stand for a dot."""
        self.do("sysctl", "-q", "-w", *(f"net.{k.replace('__', '.')}={v}" for k, v in values.items()))

    def start(self, *argv: str, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["nsenter", f"--net={self.path}", *argv], stdout=subprocess.PIPE, text=True, **options
        )

    def close(self) -> None:
        self._thread.shutdown()
        subprocess.run(["ip", "netns", "del", self.name], check=False, timeout=30)


class Net:
    """The network, its servers and the engine in its node."""

    def __init__(self, directory: Path, mtu: int = 1500) -> None:
        self.directory = directory
        self._spaces: list[Namespace] = []
        self._processes: list[subprocess.Popen[str]] = []
        self._mounted = False
        self.engine: Any = None
        try:
            self._build(mtu)
        except BaseException:
            self.close()
            raise

    def _build(self, mtu: int) -> None:
        self.bridge = self._space("br")
        self.bridge.ip("link add br0 type bridge stp_state 0 forward_delay 0", "link set br0 up")
        for name in ("bridge__bridge-nf-call-iptables", "bridge__bridge-nf-call-ip6tables"):
            if Path("/proc/sys/net/bridge").exists():
                self.bridge.set(**{name: 0})
        self.client = self._machine("cl", 10, mtu)
        self.node = self._machine("lb", 2, mtu)
        self.servers = {name: self._machine(name, 10 + i, mtu) for i, name in enumerate(NAMES, 1)}
        self.client.ip(*(f"address add {source}/24 dev eth0" for source in (*SOURCES, *ROUTED)))
        self.node.ip(
            f"address add {VIP}/32 dev eth0",
            f"address add {VIP6}/128 dev eth0 nodad",
            "address add 10.78.0.2/24 dev eth0",
        )
        self.node.set(ipv4__ip_forward=1, ipv4__conf__all__send_redirects=0)
        for name, space in self.servers.items():
            space.set(ipv4__conf__all__arp_ignore=1, ipv4__conf__all__arp_announce=2)
            space.ip(
                f"address add {VIP}/32 dev lo",
                f"address add {VIP6}/128 dev lo nodad",
                "route add 10.78.0.0/24 via 10.77.0.2",
            )
            self._serve(name, space)
            # An apply waits for a third of a second for servers to be found: here they are already.
            self.node.do("ping", "-q", "-c", "1", "-w", "30", f"10.77.0.1{name[1:]}")
        self.pins = self.directory / "bpf"
        self.pins.mkdir()
        run("mount", "-t", "bpf", "bpf", str(self.pins))
        self._mounted = True

    def _space(self, name: str) -> Namespace:
        space = Namespace(f"l4-{os.getpid()}-{name}")
        self._spaces.append(space)
        return space

    def _machine(self, name: str, number: int, mtu: int) -> Namespace:
        space = self._space(name)
        self.bridge.ip(
            f"link add {name} mtu {mtu} type veth peer name eth0 netns {space.name} mtu {mtu}",
            f"link set {name} master br0 up",
        )
        space.ip(
            f"address add 10.77.0.{number}/24 dev eth0",
            f"address add fd77::{number}/64 dev eth0 nodad",
            "link set eth0 up",
        )
        space.set(ipv4__conf__all__rp_filter=0, ipv4__conf__eth0__rp_filter=0)
        return space

    def _serve(self, name: str, space: Namespace) -> None:
        script = str(Path(__file__).with_name("ebpf_server.py"))
        process = space.start(sys.executable, script, name, str(PORT), VIP, VIP6, f"10.77.0.1{name[1:]}")
        self._processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

    def start(self) -> EbpfEngine:
        """Starts the engine in the node, or adopts what an earlier one left."""
        self.engine = self.node.call(EbpfEngine, self.pins, OBJECT)
        return self.engine

    def apply(self, config: Config, status: Status | None = None) -> None:
        """What the loop does: compile, observe, diff, check, apply."""
        self.node.call(apply, self.engine, config, status or up(config))

    def translate(self, config: Config) -> None:
        """What the nft engine would do: translates by the marks of the document, IPv4 only."""
        members = marks(config)
        snat = {service.name for service in config.services if service.forwarding is Forwarding.SNAT}
        servers = "".join(f", {mark:#x} : {address}" for (_, address, _), mark in members.items())
        hidden = "".join(f", {mark:#x}" for (name, _, _), mark in members.items() if name in snat)
        text = _NFT.replace("SERVERS", servers).replace("HIDDEN", hidden)
        self.node.do("nft", "-f", "-", text=text)

    def refresh(self) -> None:
        self.node.call(self.engine.refresh)

    def active(self, service: str = "Echo") -> dict[str, int]:
        traffic = self.node.call(self.engine.traffic)
        return {host: each.active for (name, host), each in traffic.items() if name == service}

    def connect(
        self, source: str = "10.77.0.10", vip: str = VIP, timeout: float = 30.0, port: int = PORT
    ) -> Talk:
        return Talk(self.client.call(_connect, source, (vip, port), timeout))

    def servers_of_new(self, count: int = 40) -> set[str]:
        """Who takes so many connections that are open at once: as many as chance needs to meet everybody."""
        talks = [self.connect(source) for source in SOURCES[:count]]
        for talk in talks:
            talk.close()
        return {talk.server for talk in talks}

    def datagram(self, source: str, payload: bytes, vip: str = VIP, timeout: float = 30.0) -> str:
        """Sends one datagram from a new port; returns the answer."""
        return self.client.call(_datagram, source, payload, vip, timeout)

    def apply_resolved(self, config: Config) -> None:
        """Applies, and waits until every server can be reached: an IPv6 link needs a second to come up."""
        self.apply(config)
        self.until(lambda: all(slot.ifindex for slot in self.slots()), "every server's MAC is known")

    def slots(self) -> list[Slot]:
        return list(Book(self.engine._loaded.maps).slots().values())

    def until(self, holds: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
        """Does upkeep, as the loop would, until something holds."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
            self.refresh()
            time.sleep(0.05)

    def sweep(
        self, syn: int = 10**13, established: int = 10**13, closing: int = 10**13, datagram: int = 10**13
    ) -> None:
        """One sweep as if all services had these time-outs, in ns."""
        maps, programs = self.engine._loaded.maps, self.engine._loaded.programs
        own = list(maps["timeouts"].leading(layout.SERVICES))
        for number in range(len(own)):
            maps["timeouts"].update(layout.INDEX.pack(number), bytes(layout.TIMEOUTS.size))
        arguments = layout.SWEEP_ARGS.pack(syn, established, closing, datagram, 1000, 0, 0, 0)
        bpf.run_syscall(programs["willis_sweep"], arguments)
        for number, value in enumerate(own):
            maps["timeouts"].update(layout.INDEX.pack(number), value)

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        if self._mounted:
            run("umount", str(self.pins))
        for space in self._spaces:
            space.close()


@contextmanager
def started(directory: Path, **options: Any) -> Iterator[Net]:
    """The network with an engine in its node; all of it goes away again."""
    net = Net(directory, **options)
    try:
        net.start()
        yield net
    finally:
        net.close()


class Talk:
    """A connection through the VIP."""

    def __init__(self, wire: socket.socket) -> None:
        self.wire = wire
        self._file = wire.makefile("rw", newline="\n")
        self.server, self.seen = self._file.readline().split()

    def say(self, word: str = "hello") -> str:
        """Sends a line; returns the server that answered it."""
        self._file.write(f"{word}\n")
        self._file.flush()
        server, answer = self._file.readline().split()
        assert answer == word
        return server

    def close(self) -> None:
        self._file.close()
        self.wire.close()


def _connect(source: str, to: tuple[str, int], timeout: float) -> socket.socket:
    return socket.create_connection(to, timeout, source_address=(source, 0))


def _datagram(source: str, payload: bytes, vip: str, timeout: float) -> str:
    family = socket.AF_INET6 if ":" in vip else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as wire:
        wire.settimeout(timeout)
        wire.bind((source, 0))
        wire.sendto(payload, (vip, PORT))
        return wire.recv(2048).decode()


def apply(engine: EbpfEngine, config: Config, status: Status) -> None:
    want = engine.compile(config, status)
    engine.check(want)
    engine.apply(diff(engine.name, engine.observe(), want))


def echo(
    name: str = "Echo", vip: str = VIP, hosts: tuple[str, ...] = NAMES, **changes: Any
) -> VirtualService:
    """A service over s1, s2 and s3; ``weights`` are given by position."""
    weights = changes.pop("weights", (100,) * len(hosts))
    family = "fd77::" if ":" in vip else "10.77.0."
    pool = tuple(
        RealServer(host, ip_address(f"{family}1{host[1:]}"), weight=weight)
        for host, weight in zip(hosts, weights, strict=True)
    )
    values: dict[str, Any] = {
        "scheduler": Scheduler.WLC,
        "check": Check(),
        "ports": (PORT,),
        "forwarding": Forwarding.DR,
        **changes,
    }
    return VirtualService(name, ip_address(vip), pool=pool, **values)


def site(*services: VirtualService, attach: Attach = Attach.TCX) -> Config:
    addresses = (ip_interface("10.77.0.2/24"), ip_interface("fd77::2/64"))
    hosts = tuple(Host(name, ip_address(f"10.77.0.1{name[1:]}")) for name in NAMES)
    return Config("test", (Interface("eth0", addresses, attach),), hosts, services)


def up(config: Config, admin: dict[str, Admin] | None = None, dead: tuple[str, ...] = ()) -> Status:
    """Every target is up, but for the hosts named."""
    down = {rs.address for s in config.services for rs in s.pool if rs.host in dead}
    health = {t: Health(Verdict.DEAD if t.address in down else Verdict.UP, "told") for t in targets(config)}
    return Status(health, {Place(host): state for host, state in (admin or {}).items()})
