"""What this machine lacks for a full twin, found by trying, each in words that say what to do."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_TOOLS = {
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
    "umount": "mount",
}
_TRAFFIC_TOOLS = {"echoscu": "dcmtk", "storescu": "dcmtk", "findscu": "dcmtk", "curl": "curl"}

_SYS_BPF = {"x86_64": 321, "aarch64": 280}
_BPF_MAP_CREATE = 0
_BPF_MAP_TYPE_ARRAY = 2


def missing_for_full() -> list[str]:
    """Why a full twin cannot be built here; empty if it can."""
    if not sys.platform.startswith("linux"):
        return ["network namespaces: this is not Linux"]
    found = _absent(_TOOLS)
    found += [reason for reason in (_namespaces(), _bpf(), _program()) if reason]
    return found


def missing_for_any() -> list[str]:
    """Why no twin at all can be built here."""
    return _absent({"haproxy": "haproxy"})


def lowest_free_port() -> int:
    """The lowest port that this process may bind (ip(7), ip_unprivileged_port_start)."""
    if os.geteuid() == 0:
        return 1
    return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())


def missing_for_orthanc() -> list[str]:
    """Why no real Orthanc can stand behind a host."""
    return _absent({"Orthanc": "orthanc"})


def missing_for_traffic() -> list[str]:
    """Which tools of the clients are not there."""
    return _absent(_TRAFFIC_TOOLS)


def _absent(tools: dict[str, str]) -> list[str]:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    packages = {package for tool, package in tools.items() if shutil.which(tool, path=path) is None}
    return [f"the package {package}: apt-get install {package}" for package in sorted(packages)]


def _namespaces() -> str | None:
    """Try what the twin does, in a child: a namespace kept by a mount, with a setting changed in it."""
    if shutil.which("unshare") is None:
        return None
    with tempfile.NamedTemporaryFile(prefix="willis-probe-") as kept:
        argv = ["unshare", f"--net={kept.name}", "tee", "/proc/sys/net/ipv4/ip_forward"]
        done = subprocess.run(argv, input="1\n", capture_output=True, text=True, check=False)
        subprocess.run(["umount", kept.name], capture_output=True, check=False)
    if done.returncode == 0:
        return None
    who = "this container may not" if os.geteuid() == 0 else "only root may"
    return f"network namespaces: {who} make them ({done.stderr.strip()})"


def _bpf() -> str | None:
    """Try to make a small eBPF map, in a child: a seccomp filter may kill whoever tries."""
    done = subprocess.run([sys.executable, "-m", __name__], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    why = done.stderr.strip() or f"the attempt ended with {done.returncode}"
    return f"eBPF: the kernel does not allow bpf(2) here ({why})"


def _program() -> str | None:
    """The layer-4 program is built, or came with the package."""
    package = Path(__file__).parent.parent / "engines" / "ebpf"
    if any(package.glob("*.o")):
        return None
    return (
        "the layer-4 program: it is not built; install clang, llvm, make and libbpf-dev, then run make -C bpf"
    )


def _try_bpf() -> str | None:
    """Create an eBPF array with one entry (bpf(2), BPF_MAP_CREATE). The kernel's complaint, or None."""
    number = _SYS_BPF.get(platform.machine())
    if number is None:
        return f"its number is not known on {platform.machine()}"
    attribute = (ctypes.c_uint32 * 32)(_BPF_MAP_TYPE_ARRAY, 4, 4, 1)
    libc = ctypes.CDLL(None, use_errno=True)
    made = libc.syscall(number, _BPF_MAP_CREATE, ctypes.byref(attribute), ctypes.sizeof(attribute))
    return None if made >= 0 else os.strerror(ctypes.get_errno())


if __name__ == "__main__":
    sys.exit(_try_bpf())
