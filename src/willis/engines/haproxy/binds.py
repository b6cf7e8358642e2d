"""Try to listen where HAProxy is about to: it finds a taken address before anything is touched.

``haproxy -c`` does not bind. A reload that cannot bind makes the old worker pause all
its listeners for about two seconds, on every VIP (haproxy/haproxy#1883).
"""

from __future__ import annotations

import errno
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

_BIND = re.compile(r"^    bind \[?([0-9a-fA-F.:]+?)\]?:(\d+)( transparent)?(?: .*)?$", re.MULTILINE)
_IP_FREEBIND = 15
_IPV6_FREEBIND = 78
"""linux/in.h, linux/in6.h: bind to an address that is not on this node (yet)."""
_CLOSING_S = 1.0
_LISTEN = "0A"
"""TCP_LISTEN in /proc/net/tcp."""


@dataclass(frozen=True, slots=True, order=True)
class Bind:
    """Where HAProxy listens, as its configuration says."""

    address: str
    port: int
    transparent: bool

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def binds(text: str) -> frozenset[Bind]:
    """All binds of a configuration that we wrote."""
    return frozenset(Bind(a, int(port), bool(far)) for a, port, far in _BIND.findall(text))


def refusal(bind: Bind, ours: Callable[[int], bool]) -> str | None:
    """Why HAProxy could not listen there, or None. ``ours``: whether a process is our HAProxy."""
    deadline = time.monotonic() + _CLOSING_S
    while (code := _try(bind)) == errno.EADDRINUSE:
        holders = list(_holders(bind))
        if holders and all(ours(pid) for pid, _ in holders):
            return None
        if holders or time.monotonic() > deadline:
            who = ", ".join(f"{name} (process {pid})" for pid, name in holders) or "another process"
            return f"{bind} is taken by {who}; stop it or give the service another VIP or port"
        time.sleep(_CLOSING_S / 50)  # a listener without a process is about to go
    if code == 0:
        return None
    if code == errno.EADDRNOTAVAIL:
        return f"{bind.address} is not an address of this node"
    if code in (errno.EACCES, errno.EPERM):
        return f"port {bind.port} needs CAP_NET_BIND_SERVICE, which the engine does not have"
    return f"{bind} cannot be listened on: {os.strerror(code)}"


def _try(bind: Bind) -> int:
    v6 = ":" in bind.address
    try:
        with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if bind.transparent:
                level, option = (
                    (socket.IPPROTO_IPV6, _IPV6_FREEBIND) if v6 else (socket.IPPROTO_IP, _IP_FREEBIND)
                )
                sock.setsockopt(level, option, 1)
            sock.bind((bind.address, bind.port))
            sock.listen(1)
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def _holders(bind: Bind) -> Iterator[tuple[int, str]]:
    """(pid, command) of each process that listens there or on the wildcard address."""
    inodes = {f"socket:[{inode}]" for inode in _inodes(bind)}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and inodes & _links(entry / "fd"):
            yield int(entry.name), _command(entry)


def _inodes(bind: Bind) -> Iterator[str]:
    """Inodes of the listening sockets in the way (proc_net(5))."""
    wanted = ip_address(bind.address)
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in (line.split() for line in lines):
            raw, _, port = fields[1].partition(":")
            if fields[3] == _LISTEN and int(port, 16) == bind.port and _covers(raw, wanted):
                yield fields[9]


def _covers(raw: str, wanted: IPv4Address | IPv6Address) -> bool:
    """Whether a listener on ``raw`` (hexadecimal, 32-bit words in host order) is in the way."""
    words = (int(raw[i : i + 8], 16).to_bytes(4, "little") for i in range(0, len(raw), 8))
    address = ip_address(b"".join(words))
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped == wanted
    return address == wanted or address.is_unspecified


def _links(directory: Path) -> set[str]:
    try:
        return {_link(entry) for entry in directory.iterdir()}
    except OSError:
        return set()


def _link(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:
        return ""


def _command(entry: Path) -> str:
    try:
        return (entry / "comm").read_text().strip()
    except OSError:
        return "a process that has just ended"
