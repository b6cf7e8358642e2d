"""The servers of ``bench flap``: one process, a listener on each of many loopback addresses.

``python -m bench.flapper FIRST COUNT PORT``. A line on standard input begins the storm (``storm``: every
two seconds each listener closes or opens again, each at its own moment) or ends it (``calm``: all
listen). A line on standard output answers each, and says at the start that all listen. It ends with its
input.
"""

from __future__ import annotations

import resource
import selectors
import socket
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Address

_TURN_S = 2.0
_STEPS = 100
"""Moments within a turn, at each of which a hundredth of the listeners changes."""


class Flapper:
    """Listeners by their number."""

    def __init__(self, first: IPv4Address, count: int, port: int) -> None:
        self._first, self._count, self._port = first, count, port
        self._listeners: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        self._storm = False
        self._step = 0

    def run(self) -> None:
        """Until the input ends."""
        self._calm()
        following = 0.0
        while True:
            pause = max(0.0, following - time.monotonic()) if self._storm else None
            for key, _ in self._selector.select(pause):
                if isinstance(key.fileobj, socket.socket):
                    _take(key.fileobj)
                elif not self._obey(sys.stdin.readline().strip()):
                    return
            if self._storm and time.monotonic() >= following:
                following = time.monotonic() + _TURN_S / _STEPS
                self._flip(range(self._step % _STEPS, self._count, _STEPS))
                self._step += 1

    def _obey(self, line: str) -> bool:
        self._storm = line == "storm"
        if line == "calm":
            self._calm()
        elif self._storm:
            print(line, flush=True)
        return bool(line)

    def _calm(self) -> None:
        self._open(n for n in range(self._count) if n not in self._listeners)
        print("calm", flush=True)

    def _flip(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            listener = self._listeners.pop(number, None)
            if listener is None:
                self._open((number,))
            else:
                self._selector.unregister(listener)
                listener.close()

    def _open(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            listener = socket.create_server((str(self._first + number), self._port))
            listener.setblocking(False)
            self._listeners[number] = listener
            self._selector.register(listener, selectors.EVENT_READ)


def _take(listener: socket.socket) -> None:
    """Accept and close: a look wants no more. One that closed a moment ago has nothing to give."""
    with suppress(OSError):
        listener.accept()[0].close()


if __name__ == "__main__":
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    Flapper(IPv4Address(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])).run()
