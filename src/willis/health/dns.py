"""DNS: one question by UDP (RFC 1035), asked of the server itself."""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
import struct

from willis.health import faults
from willis.health.faults import Ended, where
from willis.health.wire import Transcript
from willis.model.check import Check, Dns, DnsAsk, DnsType, Target
from willis.model.status import Verdict
from willis.plan.verdict import Result

_TYPES = {
    DnsType.A: 1,
    DnsType.NS: 2,
    DnsType.SOA: 6,
    DnsType.PTR: 12,
    DnsType.TXT: 16,
    DnsType.AAAA: 28,
    DnsType.SRV: 33,
}
_HEAD = struct.Struct(">HHHHHH")
_RECURSE, _ANSWER, _INTERNET = 0x0100, 0x8000, 1
_LARGEST = 4096
_CODES = {1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
_SERVFAIL = 2


async def look(target: Target, check: Check) -> Result:
    """One question. Never raises."""
    question = target.question
    assert isinstance(question, Dns)  # noqa: S101 - chosen by its class
    transcript = Transcript()
    try:
        async with asyncio.timeout(check.timeout_s):
            end = await _exchange(target, question.ask, transcript)
    except TimeoutError:
        end = faults.silent(target, check.timeout_s)
    except OSError as error:
        code = error.errno or errno.EIO
        end = faults.later(code, target)
    return transcript.result(end, target)


async def _exchange(target: Target, wanted: DnsAsk, transcript: Transcript) -> Ended:
    loop = asyncio.get_running_loop()
    number = secrets.randbelow(0x10000)
    family = socket.AF_INET6 if target.address.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        await loop.sock_connect(sock, (str(target.address), target.port))
        raw = query(number, wanted)
        transcript.note(f"{wanted.type} {wanted.name}", sent=True)
        await loop.sock_sendall(sock, raw)
        while True:
            answer = await loop.sock_recv(sock, _LARGEST)
            if answer[:2] == raw[:2]:
                return _judged(target, wanted, answer, transcript)


def query(number: int, wanted: DnsAsk) -> bytes:
    """The bytes of a question."""
    labels = wanted.name.rstrip(".").split(".")
    name = b"".join(bytes((len(label),)) + label.encode("ascii") for label in labels) + b"\0"
    return (
        _HEAD.pack(number, _RECURSE, 1, 0, 0, 0) + name + struct.pack(">HH", _TYPES[wanted.type], _INTERNET)
    )


def _judged(target: Target, wanted: DnsAsk, answer: bytes, transcript: Transcript) -> Ended:
    asked = f"{wanted.type} {wanted.name}"
    if len(answer) < _HEAD.size or not answer[2] & _ANSWER >> 8:
        transcript.note(f"{len(answer)} bytes", sent=False)
        return Ended(Verdict.MISCONFIGURED, f"what answers at {where(target)} does not speak DNS")
    _, flags, _, answers, _, _ = _HEAD.unpack_from(answer)
    code = flags & 0xF
    said = _CODES.get(code, f"code {code}") if code else f"{answers} records"
    transcript.note(said, sent=False)
    if code == _SERVFAIL:
        return Ended(Verdict.FAILING, f"{where(target)} answers {asked} with {said}")
    if code or not answers:
        told = (
            f"{where(target)} answers {asked} with {said}; name a record that it holds, or let it answer us"
        )
        return Ended(Verdict.MISCONFIGURED, told)
    return Ended(Verdict.UP, f"answers {asked}")
