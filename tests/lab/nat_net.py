"""A small network for translation: a client, a node with two arms and two servers behind it.

    cl 10.78.1.10 ── front ── eth0 10.78.1.2  lb  eth1 10.78.2.2 ── back ── s1 s2 10.78.2.11 and .12
                              VIP 10.78.1.200                              s1 also 10.78.9.11, routed

Everything also has fd78:: addresses; the servers' way out is the node. The layer-4
program is not here: a table of the test's own marks packets as it would, by the
client's port. The servers listen on two ports.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_interface
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.lab.ebpf_net import Namespace, Talk
from willis.engines.kernel.driver import KernelEngine
from willis.engines.nft.driver import NftEngine
from willis.engines.port import Engine
from willis.model.check import Check
from willis.model.config import Config
from willis.model.node import Host, Interface
from willis.model.service import Forwarding, Protocol, RealServer, VirtualService
from willis.model.status import Health, Status, Verdict
from willis.plan.diff import diff
from willis.plan.marks import marks
from willis.plan.members import targets

VIP, VIP6 = "10.78.1.200", "fd78:1::200"
CLIENT, CLIENT6 = "10.78.1.10", "fd78:1::10"
NODE, NODE6 = "10.78.2.2", "fd78:2::2"
ROUTED = "10.78.9.11"
PORT, OTHER = 11112, 104
NAMES = ("s1", "s2")
_PORTS = count(20_000)


def _missing() -> str | None:
    """Why these tests cannot run here; None if they can."""
    tried = subprocess.run(
        ["unshare", "--net", "nft", "list", "tables"], check=False, capture_output=True, text=True, timeout=10
    )
    return None if tried.returncode == 0 else f"no network namespaces with nftables: {tried.stderr.strip()}"


LAB = [pytest.mark.lab, pytest.mark.skipif(_missing() is not None, reason=str(_missing()))]


class NatNet:
    """The network, its servers and the two engines in the node."""

    def __init__(self, directory: Path) -> None:
        self._spaces: list[Namespace] = []
        self._processes: list[subprocess.Popen[str]] = []
        self._marked: set[str] = set()
        try:
            self._build()
            self.nft: Any = self.node.call(NftEngine)
            self.kernel: Any = KernelEngine(directory)
        except BaseException:
            self.close()
            raise

    def _build(self) -> None:
        self.switch = self._space("br")
        for bridge in ("front", "back"):
            self.switch.ip(
                f"link add {bridge} type bridge stp_state 0 forward_delay 0", f"link set {bridge} up"
            )
        if Path("/proc/sys/net/bridge").exists():
            for name in ("iptables", "ip6tables"):
                self.switch.set(**{f"bridge__bridge-nf-call-{name}": 0})
        self.client, self.node = self._space("cl"), self._space("lb")
        self._wire(self.client, "eth0", "front", "10.78.1.10/24", "fd78:1::10/64")
        self._wire(self.node, "eth0", "front", "10.78.1.2/24", "fd78:1::2/64", f"{VIP}/32", f"{VIP6}/128")
        self._wire(self.node, "eth1", "back", "10.78.2.2/24", "fd78:2::2/64")
        self.servers = {name: self._server(name, 10 + i) for i, name in enumerate(NAMES, 1)}
        self.servers["s1"].ip(f"address add {ROUTED}/32 dev lo")
        self.node.ip(f"route add {ROUTED}/32 via 10.78.2.11")

    def _space(self, name: str) -> Namespace:
        space = Namespace(f"nat-{os.getpid()}-{name}")
        self._spaces.append(space)
        return space

    def _wire(self, space: Namespace, interface: str, bridge: str, *addresses: str) -> None:
        port = f"{space.name.rpartition('-')[2]}-{interface}"
        self.switch.ip(
            f"link add {port} type veth peer name {interface} netns {space.name}",
            f"link set {port} master {bridge} up",
        )
        nodad = {address: " nodad" if ":" in address else "" for address in addresses}
        space.ip(
            *(f"address add {a} dev {interface}{n}" for a, n in nodad.items()), f"link set {interface} up"
        )

    def _server(self, name: str, number: int) -> Namespace:
        space = self._space(name)
        own = (f"10.78.2.{number}", f"fd78:2::{number}")
        self._wire(space, "eth0", "back", f"{own[0]}/24", f"{own[1]}/64")
        space.ip("route add default via 10.78.2.2", "route add default via fd78:2::2")
        script = str(Path(__file__).with_name("ebpf_server.py"))
        for port in (PORT, OTHER):
            process = space.start(sys.executable, script, name, str(port), *own)
            self._processes.append(process)
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        return space

    def apply(self, config: Config, status: Status | None = None) -> int:
        """What the loop does with the nft engine; the number of changes."""
        return int(self.node.call(converge, self.nft, config, status or up(config)))

    def settle(self, config: Config) -> int:
        """The same with the kernel's settings."""
        return int(self.node.call(converge, self.kernel, config, up(config)))

    def observe(self) -> dict[str, Any]:
        return dict(self.node.call(self.nft.observe))

    def alarms(self) -> tuple[str, ...]:
        """What the engine tells after a look."""
        self.observe()
        return tuple(self.node.call(self.nft.alarms))

    def mark(self, config: Config) -> None:
        """Mark the packets to each VIP as the layer-4 program would, by a bit of the client's port.

        Only elements change. A rule that is replaced together with a set of its own misses
        a packet now and then.
        """
        lines = ["add table inet chosen"]
        lines += ["add chain inet chosen c { type filter hook prerouting priority raw; }"]
        known = marks(config)
        for service in config.services:
            family, protocol = "ip6" if service.vip.version == 6 else "ip", service.protocol
            packets = f"{family} daddr {service.vip} {protocol} dport {PORT}"
            choices = [known[service.name, rs.address, rs.port] for rs in service.pool]
            for bit, chosen in ((0, choices[0]), (2, choices[-1])):
                which = f"{family}{protocol}{bit}"
                lines.append(f"add map inet chosen {which} {{ type inet_proto : mark; }}")
                if which in self._marked:
                    lines.append(f"delete element inet chosen {which} {{ {protocol} }}")
                else:
                    sent = f"{packets} {protocol} sport & 2 == {bit}"
                    lines.append(f"add rule inet chosen c {sent} meta mark set meta l4proto map @{which}")
                self._marked.add(which)
                lines.append(f"add element inet chosen {which} {{ {protocol} : {chosen} }}")
        self.node.do("nft", "-f", "-", text="\n".join(lines) + "\n")

    def serve(self, config: Config, status: Status | None = None) -> None:
        """Settings, translation and marks."""
        self.settle(config)
        self.apply(config, status)
        self.mark(config)

    def connect(self, vip: str = VIP) -> Talk:
        return Talk(self.client.call(_connect, vip))

    def datagram(self, vip: str = VIP, sender: Any = None) -> str:
        """Sends one datagram, without a sender from a port that none was sent from; returns the answer."""
        return str(self.client.call(_datagram, vip, sender))

    def sender(self, family: socket.AddressFamily) -> socket.socket:
        """A socket of the client's for datagrams from one port."""
        wire = self.client.call(socket.socket, family, socket.SOCK_DGRAM)
        assert isinstance(wire, socket.socket)
        return wire

    def kill_amid_apply(self, config: Config, after: float) -> None:
        """Have a process of its own apply, and kill it and its children after some seconds."""
        process = subprocess.Popen(
            ["nsenter", f"--net={self.node.path}", sys.executable, "-c", _APPLY],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        pickle.dump(config, process.stdin)
        process.stdin.flush()
        assert process.stdout.readline() == b"ready\n"
        time.sleep(after)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def seconds_left(self, protocol: str, port: int) -> int:
        """How long conntrack remembers the client's flow from that port to VIP and PORT."""
        table = self.node.call(Path("/proc/thread-self/net/nf_conntrack").read_text)
        # Ports come again within the minutes that conntrack remembers an ended conversation.
        flow = f" src={CLIENT} dst={VIP} sport={port} dport={PORT} "
        lines = [line for line in table.splitlines() if flow in line]
        (line,) = [line for line in lines if line.split()[2] == protocol]
        return int(line.split()[4])

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        for space in self._spaces:
            space.close()


class Load:
    """A client that talks through the VIP as long as the context lasts."""

    def __init__(self, net: NatNet) -> None:
        script = str(Path(__file__).with_name("nat_client.py"))
        self._process = net.client.start(sys.executable, script, VIP, str(PORT), stdin=subprocess.PIPE)
        self.short = self.long = 0
        self.failures: list[str] = []

    def __enter__(self) -> Load:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        said, _ = self._process.communicate(timeout=200)
        *self.failures, numbers = said.splitlines()
        self.short, self.long, failed = map(int, numbers.split())
        assert failed == len(self.failures)


@contextmanager
def started(directory: Path) -> Iterator[NatNet]:
    """The network; all of it goes away again."""
    net = NatNet(directory)
    try:
        yield net
    finally:
        net.close()


def nat(name: str = "Nat", vip: str = VIP, **changes: Any) -> VirtualService:
    """A service over s1 and s2; ``port`` is the servers' own, ``address`` the only server's."""
    port, address = changes.pop("port", None), changes.pop("address", None)
    back = "fd78:2::" if ":" in vip else "10.78.2."
    addresses = {"s1": address} if address else {n: f"{back}{10 + i}" for i, n in enumerate(NAMES, 1)}
    pool = tuple(RealServer(host, ip_address(rip), port) for host, rip in addresses.items())
    values: dict[str, Any] = {"forwarding": Forwarding.NAT, "check": Check(), "ports": (PORT,), "pool": pool}
    return VirtualService(name, ip_address(vip), **{**values, **changes})


def snat(name: str = "Snat", **changes: Any) -> VirtualService:
    return nat(name, **{"forwarding": Forwarding.SNAT, **changes})


def udp(service: VirtualService) -> VirtualService:
    return replace(service, protocol=Protocol.UDP)


def site(*services: VirtualService) -> Config:
    front = Interface("eth0", (ip_interface("10.78.1.2/24"), ip_interface("fd78:1::2/64")))
    back = Interface("eth1", (ip_interface(f"{NODE}/24"), ip_interface(f"{NODE6}/64")))
    hosts = tuple(Host(name, ip_address(f"10.78.2.{10 + i}")) for i, name in enumerate(NAMES, 1))
    return Config("test", (front, back), hosts, services)


def up(config: Config, *dead: str) -> Status:
    """Every target is up, but for the hosts named."""
    down = {rs.address for s in config.services for rs in s.pool if rs.host in dead}
    return Status(
        {t: Health(Verdict.DEAD if t.address in down else Verdict.UP, "told") for t in targets(config)}
    )


def converge(engine: Engine, config: Config, status: Status) -> int:
    engine.refresh()
    want = engine.compile(config, status)
    engine.check(want)
    changes = diff(engine.name, engine.observe(), want)
    if changes:
        engine.apply(changes)
    return len(changes)


_APPLY = """
import pickle, sys
from tests.lab.nat_net import converge, up
from willis.engines.nft.driver import NftEngine
config = pickle.load(sys.stdin.buffer)
print("ready", flush=True)
converge(NftEngine(), config, up(config))
"""


def _connect(vip: str) -> socket.socket:
    return socket.create_connection((vip, PORT), 30)


def _datagram(vip: str, sender: socket.socket | None) -> str:
    with ExitStack() as stack:
        family = socket.AF_INET6 if ":" in vip else socket.AF_INET
        wire = sender
        if wire is None:
            wire = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            # A port that the kernel hands out may be one that conntrack still has a flow of.
            wire.bind(("", next(_PORTS)))
        wire.settimeout(30)
        wire.sendto(b"study", (vip, PORT))
        return wire.recv(2048).decode()
