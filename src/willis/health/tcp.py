"""'Connect to port', half-open: the server's application never learns that it was looked at.

The kernel is asked to hold back the last ACK of the handshake (TCP_QUICKACK off,
tcp(7)), and the socket is closed with RST (SO_LINGER 0, socket(7)) before that ACK is
due. The listener's handshake stays incomplete, so ``accept`` never returns it: storage
SCPs and HL7 receivers neither log a peer that says nothing nor die from it. Linux holds
that ACK for 200 ms (TCP_DELACK_MAX), so nothing may block the event loop for longer; if
something does, the look is still right, but the application may see a connection.

What fails on our own side (no descriptor, no local port, no route, our own firewall)
says nothing about the server: the verdict of such a look is UNKNOWN and changes nothing.
An uplink that is dead but still routed cannot be told from dead servers here.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
import time

from willis.model.check import Check, CheckKind, Target
from willis.model.status import Verdict
from willis.plan.verdict import Result

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

_OWN_FAULTS = {
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


async def look(target: Target, check: Check) -> Result:
    """One look at ``target``. Never raises OSError; see ``Result`` for what it may say."""
    began = time.monotonic()
    verdict, reason, received = await _ask(target, check.timeout_s)
    return Result(
        at=time.time(),
        verdict=verdict,
        reason=reason,
        took_ms=(time.monotonic() - began) * 1000,
        sent=f"TCP SYN to {_where(target)}",
        received=received,
        kind=CheckKind.TCP,
    )


async def _ask(target: Target, timeout_s: float) -> tuple[Verdict, str, str]:
    family = socket.AF_INET6 if target.address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            code = sock.connect_ex((str(target.address), target.port))
            if code not in (0, errno.EINPROGRESS):
                return _at_once(code, target)
            return _later(await _outcome(sock, timeout_s), target, timeout_s)
    except OSError as error:
        return _at_once(error.errno or errno.EIO, target)


async def _outcome(sock: socket.socket, timeout_s: float) -> int | None:
    """SO_ERROR once the handshake ended; None for silence. Closes the socket in the same breath."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()
    descriptor = sock.fileno()

    def end() -> None:
        loop.remove_writer(descriptor)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        sock.close()
        if not ended.done():
            ended.set_result(code)

    loop.add_writer(descriptor, end)
    try:
        return await asyncio.wait_for(ended, timeout_s)
    except TimeoutError:
        return None
    finally:
        loop.remove_writer(descriptor)


def _at_once(code: int, target: Target) -> tuple[Verdict, str, str]:
    """``connect`` itself failed: except for a refusal nothing left the node."""
    if code == errno.ECONNREFUSED:
        return _refused(target)
    fault = _OWN_FAULTS.get(code, f"{os.strerror(code)}; see the node's routes and links")
    return Verdict.UNKNOWN, f"{_where(target)} could not be looked at: {fault}", ""


def _later(code: int | None, target: Target, timeout_s: float) -> tuple[Verdict, str, str]:
    if code is None:
        return (
            Verdict.DEAD,
            f"no answer from {_where(target)} within {timeout_s:g} s: host down, unplugged or filtered",
            "",
        )
    if code == 0:
        return Verdict.UP, "accepts connections", "TCP SYN, ACK"
    if code == errno.ECONNREFUSED:
        return _refused(target)
    if code in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT, errno.EHOSTDOWN):
        return (
            Verdict.DEAD,
            f"{_where(target)} cannot be reached: {os.strerror(code).lower()}",
            "ICMP or none",
        )
    if code in _OWN_FAULTS:
        return _at_once(code, target)
    return Verdict.DEAD, f"{_where(target)} failed to connect: {os.strerror(code).lower()}", ""


def _refused(target: Target) -> tuple[Verdict, str, str]:
    return Verdict.DEAD, f"connection refused by {_where(target)}", "TCP RST"


def _where(target: Target) -> str:
    host = f"[{target.address}]" if target.address.version == 6 else str(target.address)
    return f"{host}:{target.port}"
