"""Network namespaces, veth pairs, bridges and mounts: the ground of the full twin.

Everything is found again from the kernel (names, mounts), never from a file, so a twin
that was half built or whose files are damaged can be taken down. ``nsenter`` enters a
namespace; ``ip netns exec`` would remount /sys and hide the node's bpffs.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from willis.lab.blueprint import NET, Blueprint, Detour, Lan, Machine, Wire
from willis.lab.errors import LabError

_RUN = Path("/run/netns")
_SYS_NET = Path("/proc/sys/net")
_FIRST_TABLE = 100
"""Routing tables of detours; 253 to 255 are the kernel's own."""


def label(twin: str, machine: str) -> str:
    """The name of a machine's namespace. A twin's name has no hyphen, so it stays unambiguous."""
    return f"wl-{twin}-{machine}"


def enter(twin: str, machine: str) -> list[str]:
    """The words before a command that run it on a machine of the twin."""
    return ["nsenter", f"--net={_RUN / label(twin, machine)}"]


def namespaces(twin: str) -> dict[str, Path]:
    """Machine name to namespace file, of those that exist."""
    prefix = label(twin, "")
    return {entry.name.removeprefix(prefix): entry for entry in sorted(_RUN.glob(f"{prefix}*"))}


def inodes(twin: str) -> dict[int, str]:
    """Inode of a namespace to its machine: how a process shows where it lives."""
    return {path.stat().st_ino: machine for machine, path in namespaces(twin).items()}


def build(twin: str, blueprint: Blueprint) -> None:
    """Create all machines and wires. Raises LabError; what was made stays for ``remove``."""
    _RUN.mkdir(mode=0o755, exist_ok=True)
    for name in (NET, *(machine.name for machine in blueprint.machines)):
        _create(_RUN / label(twin, name))
    _batch(twin, NET, _switch(blueprint.lans))
    _write(twin, NET, "1", ["ipv4/ip_forward", "ipv6/conf/all/forwarding"])
    _run(["ip", "-batch", "-"], [_pair(twin, machine, wire) for machine, wire in _wires(blueprint)])
    for machine in blueprint.machines:
        _quiet(twin, machine.name, _interfaces(machine))
        _batch(twin, machine.name, _addresses(machine))
        if machine.loopback:
            _write(twin, machine.name, "1", _each(_interfaces(machine), "arp_ignore"))
            _write(twin, machine.name, "2", _each(_interfaces(machine), "arp_announce"))
    _quiet(twin, NET, _bridges_and_ports(blueprint))
    _batch(twin, NET, _ports(blueprint))
    for machine in blueprint.machines:
        _batch(twin, machine.name, _routes(machine))
        _detour(twin, machine.name, machine.detours)
    _detour(twin, NET, blueprint.detours, forwarded=True)
    if blueprint.plain_checksums:
        _plain_checksums(twin, blueprint)


def remove(twin: str) -> None:
    """Delete every namespace of the twin; veth pairs and bridges go with them."""
    for path in namespaces(twin).values():
        _run(["ip", "netns", "delete", path.name])
    with suppress(OSError):
        _RUN.rmdir()


def mount_bpf(where: Path) -> None:
    """Mount a bpffs of the node's own. Raises LabError."""
    where.mkdir(mode=0o700, parents=True, exist_ok=True)
    _run(["mount", "-t", "bpf", "bpf", str(where)])


def unmount_below(directory: Path) -> None:
    """Unmount whatever is mounted below ``directory``, the innermost first."""
    for target in reversed(list(_mounts_below(directory))):
        _run(["umount", str(target)])


def set_links(twin: str, machine: Machine, state: str) -> None:
    """Pull (``down``) or put in (``up``) every plug of a machine, at the switch's end.

    The machine sees its link without carrier, keeps its addresses and routes, and
    needs nothing restored.
    """
    _batch(twin, NET, [f"link set {wire.port} {state}" for wire in machine.wires])


def unplugged(twin: str) -> frozenset[str]:
    """The switch ports that are down."""
    if NET not in namespaces(twin):
        return frozenset()
    listed = _run([*enter(twin, NET), "ip", "-oneline", "link", "show", "type", "veth"])
    fields = (line.split() for line in listed.splitlines())
    return frozenset(
        words[1].rstrip(":").split("@")[0] for words in fields if "UP" not in words[2].strip("<>").split(",")
    )


def _create(path: Path) -> None:
    """A namespace that lives by its mount. ``ip netns add`` would leave a mount of /run/netns behind."""
    path.touch(exist_ok=False)
    _run(["unshare", f"--net={path}", "true"])


def _wires(blueprint: Blueprint) -> Iterator[tuple[str, Wire]]:
    return ((machine.name, wire) for machine in blueprint.machines for wire in machine.wires)


def _switch(lans: Sequence[Lan]) -> Iterator[str]:
    for lan in lans:
        yield f"link add {lan.bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"


def _bridges_and_ports(blueprint: Blueprint) -> list[str]:
    return [*(lan.bridge for lan in blueprint.lans), *(wire.port for _, wire in _wires(blueprint))]


def _pair(twin: str, machine: str, wire: Wire) -> str:
    ours, theirs = label(twin, machine), label(twin, NET)
    return f"link add {wire.interface} netns {ours} type veth peer name {wire.port} netns {theirs}"


def _addresses(machine: Machine) -> Iterator[str]:
    yield "link set lo up"
    for address in machine.loopback:
        # Deprecated, a VIP answers but is never chosen as the source of the host's own connections.
        only_answer = " nodad preferred_lft 0" if address.version == 6 else ""
        yield f"address add {address}/{address.max_prefixlen} dev lo{only_answer}"
    for wire in machine.wires:
        for own in wire.addresses:
            yield f"address add {own} dev {wire.interface}{_nodad(own.version)}"
        yield f"link set {wire.interface} up"


def _ports(blueprint: Blueprint) -> Iterator[str]:
    yield "link set lo up"
    for lan in blueprint.lans:
        for gateway in lan.gateways:
            yield f"address add {gateway} dev {lan.bridge}{_nodad(gateway.version)}"
        yield f"link set {lan.bridge} up"
    for _, wire in _wires(blueprint):
        yield f"link set {wire.port} master {wire.bridge} up"


def _routes(machine: Machine) -> Iterator[str]:
    return (f"route add default via {gateway}" for gateway in machine.gateways)


def _detour(twin: str, machine: str, detours: Sequence[Detour], *, forwarded: bool = False) -> None:
    """A routing table for each detour. ``forwarded``: for packets that come in from the detour's subnet."""
    for table, detour in enumerate(detours, _FIRST_TABLE):
        source = f"from {detour.source}" + (f" iif {detour.interface}" if forwarded else "")
        lines = (
            f"route add {detour.subnet} dev {detour.interface} table {table}",
            f"route add default via {detour.gateway} table {table}",
            f"rule add {source} lookup {table}",
        )
        _run([*enter(twin, machine), "ip", f"-{detour.source.version}", "-batch", "-"], lines)


def _nodad(version: int) -> str:
    return " nodad" if version == 6 else ""


def _each(interfaces: Iterable[str], key: str) -> list[str]:
    return [f"ipv4/conf/{name}/{key}" for name in ("all", *interfaces)]


def _interfaces(machine: Machine) -> list[str]:
    return [wire.interface for wire in machine.wires]


def _quiet(twin: str, machine: str, interfaces: Iterable[str]) -> None:
    """No reverse path filter, no redirects, no autoconfiguration, no firewall on bridged frames."""
    names = ("all", "default", "lo", *interfaces)
    keys = [f"ipv4/conf/{name}/{key}" for name in names for key in ("rp_filter", "send_redirects")]
    keys += [f"ipv6/conf/{name}/{key}" for name in names for key in ("accept_ra", "accept_dad")]
    keys += [f"bridge/bridge-nf-call-{table}" for table in ("iptables", "ip6tables", "arptables")]
    _write(twin, machine, "0", keys)


def _write(twin: str, machine: str, value: str, keys: Sequence[str]) -> None:
    """Write one value to several settings; families that the kernel lacks are left out."""
    paths = [str(_SYS_NET / key) for key in keys if _has(key)]
    _run([*enter(twin, machine), "tee", "--", *paths], [value])


def _has(key: str) -> bool:
    return (_SYS_NET / key.split("/", 1)[0]).is_dir()


def _plain_checksums(twin: str, blueprint: Blueprint) -> None:
    """For native XDP on veth: every sender finishes its checksums, the switch too since its GRO undoes
    them, and the switch's ports take redirected frames (they do with GRO on).
    """
    for machine, wire in _wires(blueprint):
        _run([*enter(twin, machine), "ethtool", "-K", wire.interface, "tx", "off"])
        _run([*enter(twin, NET), "ethtool", "-K", wire.port, "tx", "off", "gro", "on"])


def _batch(twin: str, machine: str, lines: Iterable[str]) -> None:
    _run([*enter(twin, machine), "ip", "-batch", "-"], lines)


def _mounts_below(directory: Path) -> Iterator[Path]:
    """Mount points below the directory in the order of mounting (proc(5), mountinfo field 5)."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        target = Path(line.split()[4].replace(r"\040", " "))
        if directory in target.parents:
            yield target


def _run(argv: Sequence[str], lines: Iterable[str] = ()) -> str:
    """Run a system tool with the lines as its input; its output. Raises LabError with its complaint."""
    done = subprocess.run(
        argv, input="".join(f"{line}\n" for line in lines), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = done.stderr.strip() or f"exit code {done.returncode}"
        raise LabError(f"The twin's network could not be changed: '{' '.join(argv[:6])}' said: {said}")
    return done.stdout
