"""MLLP: HL7 messages on a stream, each between a vertical tab and a file separator with a return.

(HL7 Transport Specification: MLLP, Release 1.)
"""

from __future__ import annotations

from willis.protocols.error import ProtocolError

_START, _END = b"\x0b", b"\x1c\x0d"
_BETWEEN = b"\r\n"
"""What some senders put between two frames."""
_GAPS = (b"\r", b"\n")


def frame(message: bytes) -> bytes:
    """Raises ValueError for a message that holds the framing bytes."""
    if _START in message or _END[:1] in message:
        raise ValueError("an HL7 message holds no framing characters")
    return _START + message + _END


class Deframer:
    """Messages from a stream that comes in pieces of any size. After a ProtocolError of no more use."""

    def __init__(self, largest: int = 1 << 20) -> None:
        self._largest = largest
        self._buffer = bytearray()
        self._searched = 0
        """Bytes in which no end stands."""

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that ``data`` completes. Raises ProtocolError."""
        self._buffer += data
        found: list[bytes] = []
        while self._begins():
            end = self._buffer.find(_END, max(0, self._searched - 1))
            if end < 0:
                self._searched = len(self._buffer)
                if len(self._buffer) > self._largest:
                    raise ProtocolError(f"a message has more than {self._largest:,} bytes")
                break
            found.append(bytes(self._buffer[1:end]))
            self._drop(end + len(_END))
        return found

    def _begins(self) -> bool:
        """Whether the buffer begins with a frame; what may stand between two is dropped."""
        between = len(self._buffer) - len(self._buffer.lstrip(_BETWEEN)) if self._buffer[:1] in _GAPS else 0
        self._drop(between)
        if self._buffer and self._buffer[:1] != _START:
            raise ProtocolError(f"a frame begins with the byte {self._buffer[0]:02X} instead of 0B")
        return bool(self._buffer)

    def _drop(self, count: int) -> None:
        if count:
            del self._buffer[:count]
            self._searched = 0
