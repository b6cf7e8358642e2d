"""Raw Ethernet on the node's interfaces: frames out, and what comes in answer to them.

A packet socket sees answers that the node's own stack would drop, such as a segment whose
source is a VIP of ours (packet(7)). All times are of the monotonic clock.
"""

from __future__ import annotations

import ctypes
import errno
import selectors
import socket
import time
from collections.abc import Callable, Sequence

_ATTACH_FILTER = 26
"""SO_ATTACH_FILTER, which Python does not name."""
_INSTRUCTION = 8
_LARGEST = 2048
_BUFFER_FORCE = 33
"""SO_RCVBUFFORCE, which Python does not name."""
_ROOM = 8 << 20
"""Bytes; a small frame takes about 1,000 of them."""
_BATCH, _REST_S = 50, 0.001
"""Frames after which the sender rests: a thousand questions shall be no storm."""


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
            self._hold(_ROOM)
            self._socket.bind((interface, ether_type))
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, frame: bytes) -> None:
        """A frame that finds no room is lost, as frames may be."""
        try:
            self._socket.send(frame)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ENOBUFS):
                raise

    def receive(self) -> bytes | None:
        """The next frame that waits; of a long one the beginning."""
        try:
            return self._socket.recv(_LARGEST)
        except BlockingIOError:
            return None

    def _hold(self, size: int) -> None:
        """Room for answers that wait. A lost one would look like silence. Without the right to more
        than usual (CAP_NET_ADMIN), as much as there is."""
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _BUFFER_FORCE, size)
        except PermissionError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


def exchange(
    frames: Sequence[tuple[Wire, bytes]],
    wires: Sequence[Wire],
    seconds: float,
    take: Callable[[Wire, bytes], None],
    enough: Callable[[], bool],
) -> None:
    """Send at a pace that no switch minds, then wait so long for answers, or until it is ``enough``.

    ``take`` gets every frame that comes, also meanwhile.
    """
    with selectors.DefaultSelector() as ready:
        for wire in wires:
            ready.register(wire, selectors.EVENT_READ, wire)

        def listen(seconds: float, enough: Callable[[], bool]) -> None:
            until = time.monotonic() + seconds
            while not enough() and (left := until - time.monotonic()) > 0:
                for key, _ in ready.select(left):
                    while (frame := key.data.receive()) is not None:
                        take(key.data, frame)

        for start in range(0, len(frames), _BATCH):
            for wire, frame in frames[start : start + _BATCH]:
                wire.send(frame)
            listen(_REST_S, lambda: False)
        listen(seconds, enough)
