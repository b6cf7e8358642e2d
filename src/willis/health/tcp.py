"""'Connect to port', half-open: the server's application never learns that it was looked at.

The kernel is asked to hold back the last ACK of the handshake (TCP_QUICKACK off,
tcp(7)), and the socket is closed with RST (SO_LINGER 0, socket(7)) before that ACK is
due. The listener's handshake stays incomplete, so ``accept`` never returns it: storage
SCPs and HL7 receivers neither log a peer that says nothing nor die from it. Linux holds
that ACK for 200 ms (TCP_DELACK_MAX). Where the whole node stands still for longer, the rule of
``engines.quiet`` drops it, by the mark of the socket. Without that rule, or the right to mark
(CAP_NET_ADMIN), the look is right as well, but the application may then see a connection.
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from contextlib import suppress

from willis.health import faults
from willis.health.faults import Ended, where
from willis.health.knock import Knock
from willis.model.check import Check, Target
from willis.model.status import Verdict
from willis.plan.marks import HALF_OPEN
from willis.plan.verdict import Result

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


async def look(target: Target, check: Check) -> Result:
    """One look at ``target``. Never raises OSError; see ``Result`` for what it may say."""
    began = time.monotonic()
    end, received = await _ask(target, check.timeout_s)
    return Result(
        at=time.time(),
        verdict=end.verdict,
        reason=end.reason,
        took_ms=(time.monotonic() - began) * 1000,
        sent=f"TCP SYN to {where(target)}",
        received=received,
        kind=target.kind,
    )


async def _ask(target: Target, timeout_s: float) -> tuple[Ended, str]:
    try:
        with Knock(target, _half_open, _gone) as knock:
            outcome = await knock.answer(timeout_s)
    except Ended as end:
        return end, "TCP RST" if end.verdict is Verdict.DEAD else ""
    except OSError as error:
        return faults.at_once(error.errno or errno.EIO, target), ""
    if outcome is None:
        return faults.silent(target, timeout_s), ""
    if outcome == 0:
        return Ended(Verdict.UP, "accepts connections"), "TCP SYN, ACK"
    return faults.later(outcome, target), _answer(outcome)


def _gone(sock: socket.socket) -> None:
    """In the same breath as the answer: before our ACK is due."""
    sock.close()


def _half_open(sock: socket.socket) -> None:
    with suppress(PermissionError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, HALF_OPEN)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def _answer(code: int) -> str:
    if code == errno.ECONNREFUSED:
        return "TCP RST"
    return "" if code in faults.OWN_FAULTS else "ICMP or none"
