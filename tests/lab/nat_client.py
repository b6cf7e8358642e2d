"""A steady load through a VIP until standard input closes: long conversations and short ones.

usage: nat_client.py VIP PORT
Prints ``ready`` when the long ones are open; at the end each failure, then the numbers
of short and long conversations and of failures.
"""

from __future__ import annotations

import select
import socket
import sys
import threading
import time

_LONG, _SHORT, _PAUSE_S = 20, 2, 0.01


class Talker(threading.Thread):
    """Says a word and wants it back, from the same server as before, on one connection or on many."""

    def __init__(self, where: tuple[str, int], stop: threading.Event, *, long: bool) -> None:
        super().__init__(daemon=True)
        self.done, self.failures = 0, list[str]()
        self.open = threading.Event()
        self._where, self._stop_now, self._long = where, stop, long

    def run(self) -> None:
        while not self._stop_now.is_set():
            try:
                with socket.create_connection(self._where, 30) as wire:
                    self._talk(wire)
                self.done += 1
            except (OSError, ValueError, AssertionError) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
            time.sleep(_PAUSE_S)

    def _talk(self, wire: socket.socket) -> None:
        lines = wire.makefile("rw", newline="\n")
        server = lines.readline().split()[0]
        self.open.set()
        while True:
            lines.write("word\n")
            lines.flush()
            answer = lines.readline()
            assert answer == f"{server} word\n", answer
            if not self._long or self._stop_now.wait(5 * _PAUSE_S):
                return


def main() -> None:
    stop = threading.Event()
    where = sys.argv[1], int(sys.argv[2])
    talkers = [Talker(where, stop, long=n < _LONG) for n in range(_LONG + _SHORT)]
    for talker in talkers:
        talker.start()
    for talker in talkers:
        talker.open.wait(60)
    print("ready", flush=True)
    select.select([sys.stdin], [], [], 300)
    stop.set()
    for talker in talkers:
        talker.join(60)
    failures = [failure for talker in talkers for failure in talker.failures]
    print(*failures, sep="\n") if failures else None
    print(sum(t.done for t in talkers[_LONG:]), sum(t.done for t in talkers[:_LONG]), len(failures))


main()
