"""The bench's wire: generator, balancer and sink, each in a network namespace without a name.

Namespaces live by an open descriptor and the bpffs by a private mount namespace, so
nothing is left behind however the process ends, ``kill -9`` included.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

VIP = "10.60.0.100"
PORT = 5000
CLIENTS = "10.60.128.0"
"""The first source address of the generator."""
FRONT, BACK = "10.60.0.2/16", "10.61.0.2/24"
_ROUTER = "10.60.0.1"
"""Stands for the clients, so that replies find them."""
FIRST_SERVER = 11
"""The real servers are 10.61.0.11 and so on, all of them the one sink."""
GENERATOR_MAC, FRONT_MAC, BACK_MAC, SINK_MAC = (f"02:00:00:00:00:0{i}" for i in range(1, 5))

_CLONE_NEWNS, _CLONE_NEWNET = 0x20000, 0x40000000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_HERE = Path("/proc/thread-self/ns/net")
_libc = ctypes.CDLL(None, use_errno=True)


class Unable(Exception):
    """The bench cannot run here. The text is one sentence that says why."""


def server_address(index: int) -> str:
    """The address of real server ``index``, 0 to 200."""
    return f"10.61.0.{FIRST_SERVER + index}"


@dataclass(frozen=True, slots=True)
class Bed:
    """The three namespaces, by descriptor: g0 - (b0 balancer b1) - s0."""

    generator: int
    balancer: int
    sink: int


@contextmanager
def inside(namespace: int) -> Iterator[None]:
    """The calling thread, and what it starts, stands in ``namespace``."""
    with _HERE.open("rb") as home:
        _call("setns", namespace, _CLONE_NEWNET)
        try:
            yield
        finally:
            _call("setns", home.fileno(), _CLONE_NEWNET)


@contextmanager
def private_bpffs() -> Iterator[Path]:
    """A bpf file system that only the calling thread sees; the thread's mounts stay private."""
    _call("unshare", _CLONE_NEWNS)
    _call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    with tempfile.TemporaryDirectory(prefix="willis-bench-") as folder:
        _call("mount", b"bpf", folder.encode(), b"bpf", 0, None)
        try:
            yield Path(folder)
        finally:
            _call("umount2", folder.encode(), 0)


@contextmanager
def pin_folder(bpffs: Path) -> Iterator[Path]:
    """A folder for pins; what is pinned in it goes with it."""
    folder = Path(tempfile.mkdtemp(dir=bpffs))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def bed(servers: int) -> Iterator[Bed]:
    """A fresh wire with ``servers`` (1 to 200) real servers; the balancer does nothing yet."""
    with ExitStack() as stack:
        made = Bed(*(stack.enter_context(_namespace()) for _ in range(3)))
        _wire(made)
        _address(made, servers)
        yield made


def need(*tools: str) -> None:
    """Raise Unable unless this is root and has these tools."""
    if os.geteuid():
        raise Unable("The bench makes network namespaces and loads eBPF programs; run it as root.")
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        raise Unable(
            f"The bench needs {', '.join(missing)}; install with apt-get install the packages of them."
        )


def run(argv: Sequence[str], text: str = "") -> None:
    """Run a tool with ``text`` as its input; Unable with its own words if it fails."""
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise Unable(f"{' '.join(argv)} failed: {done.stderr.strip()}")


def ip(*lines: str) -> None:
    """Run ``ip`` commands where the calling thread stands."""
    run(["ip", "-batch", "-"], "\n".join(lines))


def sysctl(**values: int) -> None:
    """Set ``net.ipv4`` switches, ``__`` for a dot, where the calling thread stands."""
    for name, value in values.items():
        Path("/proc/sys/net/ipv4", name.replace("__", "/")).write_text(str(value))


def index(namespace: int, interface: str) -> int:
    with inside(namespace):
        return socket.if_nametoindex(interface)


@contextmanager
def _namespace() -> Iterator[int]:
    with _HERE.open("rb") as home:
        _call("unshare", _CLONE_NEWNET)
        made = os.open(_HERE, os.O_RDONLY | os.O_CLOEXEC)
        _call("setns", home.fileno(), _CLONE_NEWNET)
    try:
        # No IPv6: its announcements would be counted or would wake the CPU.
        with inside(made):
            Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
        yield made
    finally:
        os.close(made)


def _wire(made: Bed) -> None:
    """Both veth pairs, with GRO on every end: native XDP reaches a bare veth only so."""

    def path(fd: int) -> str:
        return f"/proc/{os.getpid()}/fd/{fd}"

    with inside(made.balancer):
        ip(
            f"link add b0 address {FRONT_MAC} type veth peer name g0 address {GENERATOR_MAC}"
            f" netns {path(made.generator)}",
            f"link add b1 address {BACK_MAC} type veth peer name s0 address {SINK_MAC}"
            f" netns {path(made.sink)}",
        )
    ends = ((made.generator, "g0"), (made.balancer, "b0"), (made.balancer, "b1"), (made.sink, "s0"))
    for namespace, end in ends:
        with inside(namespace):
            ip(f"link set {end} up")
            run(["ethtool", "-K", end, "gro", "on"])


def _address(made: Bed, servers: int) -> None:
    with inside(made.balancer):
        ip(
            f"addr add {FRONT} dev b0",
            f"addr add {BACK} dev b1",
            f"neigh replace {_ROUTER} lladdr {GENERATOR_MAC} dev b0 nud permanent",
            f"route add {CLIENTS}/24 via {_ROUTER}",
            *(
                f"neigh replace {server_address(i)} lladdr {SINK_MAC} dev b1 nud permanent"
                for i in range(servers)
            ),
        )


def _call(name: str, *arguments: int | bytes | None) -> None:
    """A libc function that returns 0 or sets errno."""
    if getattr(_libc, name)(*arguments):
        code = ctypes.get_errno()
        raise Unable(f"{name} is refused here ({os.strerror(code)}); run as root outside a container.")
