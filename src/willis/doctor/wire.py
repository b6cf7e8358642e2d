"""Raw Ethernet on the node's interfaces: frames out, and what comes in answer to them.

A packet socket sees answers that the node's own stack would drop, such as a segment whose
source is a VIP of ours (packet(7)). All times are of the monotonic clock.
"""

from __future__ import annotations

import ctypes
import selectors
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType

_ATTACH_FILTER = 26
"""SO_ATTACH_FILTER, which Python does not name."""
_INSTRUCTION = 8
_LARGEST = 2048
_PACE = 50
"""Frames after which the sender rests a millisecond: a thousand questions shall be no storm."""


class _Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = [("count", ctypes.c_ushort), ("code", ctypes.c_void_p)]  # noqa: RUF012 - as ctypes wants it


class Wire:
    """One interface, for frames of one EtherType that a filter lets in. Raises OSError."""

    def __init__(self, interface: str, ether_type: int, code: bytes) -> None:
        self.interface = interface
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK)
        try:
            held = ctypes.create_string_buffer(code, len(code))
            program = _Program(len(code) // _INSTRUCTION, ctypes.cast(held, ctypes.c_void_p))
            self._socket.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, bytes(program))
            self._socket.bind((interface, ether_type))
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, frame: bytes) -> None:
        """A frame that finds no room is lost, as frames may be."""
        try:
            self._socket.send(frame)
        except BlockingIOError:
            return

    def receive(self) -> bytes | None:
        """The next frame that waits; of a long one the beginning."""
        try:
            return self._socket.recv(_LARGEST)
        except BlockingIOError:
            return None


def send_all(frames: Iterable[tuple[Wire, bytes]]) -> None:
    """Send at a pace that no switch minds."""
    for count, (wire, frame) in enumerate(frames, 1):
        wire.send(frame)
        if count % _PACE == 0:
            time.sleep(0.001)


def listen(
    wires: Sequence[Wire], seconds: float, take: Callable[[Wire, bytes], None], enough: Callable[[], bool]
) -> None:
    """Give every frame to ``take`` until the time is over or it is ``enough``."""
    until = time.monotonic() + seconds
    with selectors.DefaultSelector() as ready:
        for wire in wires:
            ready.register(wire, selectors.EVENT_READ, wire)
        while not enough() and (left := until - time.monotonic()) > 0:
            for key, _ in ready.select(left):
                while (frame := key.data.receive()) is not None:
                    take(key.data, frame)
