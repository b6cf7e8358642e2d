"""Ping: one ICMP echo request (RFC 792, RFC 4443), and the reply that carries its token.

An unprivileged ICMP socket is tried first (net.ipv4.ping_group_range), then a raw one
(CAP_NET_RAW); without either the look says nothing about the server.
"""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
import struct

from willis.health import faults
from willis.health.faults import Ended
from willis.health.wire import Transcript
from willis.model.check import Check, Target
from willis.model.status import Verdict
from willis.plan.verdict import Result

_HEAD = struct.Struct(">BBHHH")
_REQUEST = {4: 8, 6: 128}
_REPLY = {4: 0, 6: 129}
_TOKEN = 16
_LARGEST = 2048
_NO_RIGHT = "it may send no ICMP; give the engine CAP_NET_RAW, or widen net.ipv4.ping_group_range"


async def look(target: Target, check: Check) -> Result:
    """One echo. Never raises."""
    transcript = Transcript()
    try:
        async with asyncio.timeout(check.timeout_s):
            end = await _exchange(target, transcript)
    except TimeoutError:
        reason = (
            f"{target.address} answers no ping within {check.timeout_s:g} s: host down, unplugged or filtered"
        )
        end = Ended(Verdict.DEAD, reason)
    except Ended as ended:
        end = ended
    except OSError as error:
        code = error.errno or errno.EIO
        end = faults.later(code, target)
    return transcript.result(end, target)


async def _exchange(target: Target, transcript: Transcript) -> Ended:
    loop = asyncio.get_running_loop()
    version = target.address.version
    token, number = secrets.token_bytes(_TOKEN), secrets.randbelow(0x10000)
    with _socket(version) as sock:
        sock.connect((str(target.address), 0))
        transcript.note(f"ICMP echo request to {target.address}", sent=True)
        await loop.sock_sendall(sock, request(version, number, token))
        while True:
            answer = await loop.sock_recv(sock, _LARGEST)
            if _is_reply(version, answer, token):
                transcript.note("ICMP echo reply", sent=False)
                return Ended(Verdict.UP, "answers ping")


def request(version: int, number: int, token: bytes) -> bytes:
    """An echo request. The kernel fills in the checksum of ICMPv6."""
    raw = _HEAD.pack(_REQUEST[version], 0, 0, number, 1) + token
    return raw if version == 6 else _HEAD.pack(_REQUEST[4], 0, checksum(raw), number, 1) + token


def checksum(raw: bytes) -> int:
    """The Internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f">{len(raw) // 2}H", raw))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def _is_reply(version: int, answer: bytes, token: bytes) -> bool:
    """Raw IPv4 sockets give the packet with its IP header (ip(7)); the token ends it anyway."""
    at = len(answer) - _HEAD.size - _TOKEN
    return at >= 0 and answer.endswith(token) and answer[at] == _REPLY[version]


def _socket(version: int) -> socket.socket:
    family, protocol = (
        (socket.AF_INET6, socket.IPPROTO_ICMPV6) if version == 6 else (socket.AF_INET, socket.IPPROTO_ICMP)
    )
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            return socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
        except PermissionError:
            continue
    raise Ended(Verdict.UNKNOWN, f"the node cannot ping: {_NO_RIGHT}")
