"""tcx for kernels that have none (before 6.6): a direct-action filter on the clsact queueing discipline.

It sits at the same place in a packet's way and is replaced as atomically, but there is
no link to pin: the filter itself, found by its name, is what outlives the daemon.
Sources: tc-bpf(8); ``linux/rtnetlink.h``, ``linux/pkt_cls.h``.
"""

from __future__ import annotations

import errno
import os
from struct import pack

from willis.engines.rtnetlink import ACK, CREATE, DUMP, REQUEST, ask, attributes, pack_attribute

_NEW_QDISC, _NEW_FILTER, _DELETE_FILTER, _GET_FILTER = 36, 44, 45, 46
_CLSACT, _INGRESS = 0xFFFFFFF1, 0xFFFFFFF2
_QDISC_HANDLE = 0xFFFF0000
_PRIORITY = 49
"""Anything fixed: with handle 1 it says which filter is replaced."""
_ALL_PROTOCOLS = 0x0300  # ETH_P_ALL in network order
_KIND, _OPTIONS = 1, 2
_BPF_FD, _BPF_NAME, _BPF_FLAGS = 6, 7, 8
_DIRECT_ACTION = 1
_EXCLUSIVE = 0x200  # NLM_F_EXCL
_NAME = b"willis_l4\0"


def has_tcx() -> bool:
    """Whether this kernel has tcx (6.6)."""
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int("".join(filter(str.isdigit, minor)))) >= (6, 6)


def attach(index: int, program: int) -> None:
    """Attaches a program to an interface, or replaces ours there at one instant. Raises OSError."""
    try:
        body = _message(index, _QDISC_HANDLE, _CLSACT, 0) + pack_attribute(_KIND, b"clsact\0")
        list(ask(_NEW_QDISC, REQUEST | ACK | CREATE | _EXCLUSIVE, body))
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise
    options = (
        pack_attribute(_BPF_FD, pack("=I", program))
        + pack_attribute(_BPF_NAME, _NAME)
        + pack_attribute(_BPF_FLAGS, pack("=I", _DIRECT_ACTION))
    )
    list(ask(_NEW_FILTER, REQUEST | ACK | CREATE, _filter(index) + pack_attribute(_OPTIONS, options)))


def holds(index: int) -> bool:
    """Whether our filter is on an interface."""
    try:
        for body in ask(_GET_FILTER, REQUEST | DUMP, _message(index, 0, _INGRESS, 0)):
            given = attributes(body, 20)
            if attributes(given.get(_OPTIONS, b"")).get(_BPF_NAME) == _NAME:
                return True
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENODEV, errno.ENOENT):
            raise  # no clsact there, or no such device
    return False


def detach(index: int) -> None:
    """Removes our filter; the empty clsact stays, since others may use it."""
    list(ask(_DELETE_FILTER, REQUEST | ACK, _filter(index)))


def _filter(index: int) -> bytes:
    info = _PRIORITY << 16 | _ALL_PROTOCOLS
    return _message(index, 1, _INGRESS, info) + pack_attribute(_KIND, b"bpf\0")


def _message(index: int, handle: int, parent: int, info: int) -> bytes:
    return pack("=BxxxiIII", 0, index, handle, parent, info)
