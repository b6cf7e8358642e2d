"""What the failures of a socket mean: the server's fault, or our own.

What fails on our own side (no descriptor, no local port, no route, our own firewall)
says nothing about the server: the verdict of such a look is UNKNOWN and changes nothing.
An uplink that is dead but still routed cannot be told from dead servers here.
"""

from __future__ import annotations

import errno
import os

from willis.model.check import Target
from willis.model.status import Verdict

OWN_FAULTS = {
    errno.EMFILE: "this process has no file descriptor left; raise LimitNOFILE of the engine",
    errno.ENFILE: "the node has no file descriptor left; raise fs.file-max",
    errno.ENOBUFS: "the node's kernel has no buffer left",
    errno.ENOMEM: "the node's kernel has no memory left",
    errno.EADDRNOTAVAIL: "the node has no free local port or address towards it",
    errno.EACCES: "the node's own firewall forbids it",
    errno.EPERM: "the node's own firewall forbids it",
    errno.ENETDOWN: "the node's own interface is down",
    errno.EAFNOSUPPORT: "the node does not speak this address family",
}
"""Errors that say nothing about the server, wherever they appear."""
_UNREACHED = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT, errno.EHOSTDOWN)


class Ended(Exception):
    """A look came to its end early, with what it says."""

    def __init__(self, verdict: Verdict, reason: str) -> None:
        super().__init__(reason)
        self.verdict = verdict
        self.reason = reason


def where(target: Target) -> str:
    """``10.60.0.11:104``; without the port where none is looked at."""
    if target.port == 0:
        return str(target.address)
    host = f"[{target.address}]" if target.address.version == 6 else str(target.address)
    return f"{host}:{target.port}"


def ours(target: Target, fault: str) -> Ended:
    """A look that failed on our own side."""
    return Ended(Verdict.UNKNOWN, f"{where(target)} could not be looked at: {fault}")


def at_once(code: int, target: Target) -> Ended:
    """``connect`` itself failed: except for a refusal nothing left the node."""
    if code == errno.ECONNREFUSED:
        return refused(target)
    return ours(target, OWN_FAULTS.get(code, f"{os.strerror(code)}; see the node's routes and links"))


def later(code: int, target: Target) -> Ended:
    """The handshake failed after something had left the node."""
    if code == errno.ECONNREFUSED:
        return refused(target)
    if code in _UNREACHED:
        return Ended(Verdict.DEAD, f"{where(target)} cannot be reached: {os.strerror(code).lower()}")
    if code in OWN_FAULTS:
        return at_once(code, target)
    return Ended(Verdict.DEAD, f"{where(target)} failed to connect: {os.strerror(code).lower()}")


def silent(target: Target, timeout_s: float) -> Ended:
    """Nothing came back."""
    return Ended(
        Verdict.DEAD,
        f"no answer from {where(target)} within {timeout_s:g} s: host down, unplugged or filtered",
    )


def refused(target: Target) -> Ended:
    return Ended(Verdict.DEAD, f"connection refused by {where(target)}")
