"""What the kernel's connection tracking says and forgets, over ctnetlink, in the caller's namespace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pyroute2 import NFCTSocket
from pyroute2.netlink.exceptions import NetlinkError

from willis.engines.nft.exhaustion import Fill
from willis.engines.port import EngineError


def fill() -> Fill:
    """Raises EngineError."""
    with _socket() as socket:
        count = socket.count()[0]
        each_cpu = socket.stat()
        return Fill(
            int(count.get_attr("CTA_STATS_GLOBAL_ENTRIES") or 0),
            int(count.get_attr("CTA_STATS_GLOBAL_MAX_ENTRIES") or 0),
            sum(int(cpu.get_attr("CTA_STATS_INSERT_FAILED") or 0) for cpu in each_cpu),
        )


def forget(marks: Sequence[int]) -> None:
    """Drop every connection with one of these marks; what comes of it next is a new one.

    The kernel walks its table once a mark: 20 ms with 64,000 entries. Raises EngineError.
    """
    if marks:
        with _socket() as socket:
            for mark in marks:
                socket.flush(mark=mark, mark_mask=0xFFFFFFFF)


@contextmanager
def _socket() -> Iterator[NFCTSocket]:
    try:
        socket = NFCTSocket(nfgen_family=0)  # both families
    except OSError as error:
        raise EngineError(f"connection tracking cannot be reached: {error}") from error
    try:
        yield socket
    except (NetlinkError, OSError) as error:
        raise EngineError(f"connection tracking did not answer: {error}") from error
    finally:
        socket.close()
