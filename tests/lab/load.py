"""A steady HTTP load until standard input closes: keep-alive and new connections side by side.

Prints each failure, then the number of requests done and failed.
"""

from __future__ import annotations

import http.client
import select
import sys
import threading
import time

_PAUSE_S = 0.02


class Browser(threading.Thread):
    """Asks for the page again and again, on one connection or on a new one each time."""

    def __init__(self, host: str, port: int, stop: threading.Event, *, keep_alive: bool) -> None:
        super().__init__(daemon=True)
        self.done = self.failed = 0
        self._where = host, port
        self._stop_now = stop
        self._keep_alive = keep_alive

    def run(self) -> None:
        connection = http.client.HTTPConnection(*self._where, timeout=20)
        while not self._stop_now.is_set():
            try:
                self._ask(connection)
            except (OSError, http.client.HTTPException) as error:
                self.failed += 1
                print(f"{type(error).__name__}: {error}", flush=True)
                connection.close()
            if not self._keep_alive:
                connection.close()
            time.sleep(_PAUSE_S)

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
        self.done += 1
        if answer.status != 200:
            self.failed += 1
            print(f"HTTP {answer.status}", flush=True)


def main() -> None:
    stop = threading.Event()
    host, port = sys.argv[1], int(sys.argv[2])
    browsers = [Browser(host, port, stop, keep_alive=n % 2 == 0) for n in range(4)]
    for browser in browsers:
        browser.start()
    select.select([sys.stdin], [], [], 300)
    stop.set()
    for browser in browsers:
        browser.join(30)
    print(sum(b.done for b in browsers), sum(b.failed for b in browsers))


main()
