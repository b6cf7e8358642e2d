#!/usr/bin/env python3
"""Tells a load balancer how busy this Linux server is: a line of text such as ``75% up ready``.

The text is the agent convention of HAProxy and of most appliances: a percentage of the
server's weight, and a state. The percentage is what the busiest of CPU, memory and
connections leaves. While the file ``drain`` lies in the state directory it says ``drain``,
so that whoever services the server needs no access to the balancer.

One file, Python 3.9 or newer, no packages. It reads /proc, writes nothing, takes no input,
and needs no rights; run it as a user of its own.
"""

from __future__ import annotations

import argparse
import socketserver
import sys
import threading
import time
from pathlib import Path

LEAST = 1
"""Percent; nought would take the server out, which is a decision for people or checks."""


class Load:
    """What /proc says, with the CPU's share measured in the background."""

    def __init__(self, most_connections: int, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._most = most_connections
        self._busy = 0.0

    def watch(self, every_s: float = 2.0) -> None:
        """Measure the CPU until the process ends. A moment of load counts for little."""
        last = self._times()
        while True:
            time.sleep(every_s)
            now = self._times()
            spent = now[0] - last[0]
            if spent > 0:
                share = 1 - (now[1] - last[1]) / spent
                self._busy += (share - self._busy) * 0.3
            last = now

    def left(self) -> int:
        """Percent of this server that is free, 1 to 100."""
        used = max(self._busy, self._memory(), self._connections())
        return max(LEAST, min(100, round(100 * (1 - used))))

    def _times(self) -> tuple[int, int]:
        """Ticks in all and ticks idle (proc(5), /proc/stat); iowait is no work."""
        fields = [int(word) for word in (self._proc / "stat").read_text().splitlines()[0].split()[1:9]]
        return sum(fields), fields[3] + fields[4]

    def _memory(self) -> float:
        """Memory in use counts from 80 % on: less than that says nothing about a server's load."""
        found = {}
        for line in (self._proc / "meminfo").read_text().splitlines():
            name, _, rest = line.partition(":")
            found[name] = int(rest.split()[0])
        used = 1 - found["MemAvailable"] / found["MemTotal"]
        return max(0.0, (used - 0.8) / 0.2)

    def _connections(self) -> float:
        """Established TCP connections (state 01) against the most that the server should have."""
        if not self._most:
            return 0.0
        count = 0
        for name in ("net/tcp", "net/tcp6"):
            table = self._proc / name
            if table.exists():
                count += sum(line.split()[3] == "01" for line in table.read_text().splitlines()[1:])
        return min(1.0, count / self._most)


class Agent(socketserver.ThreadingTCPServer):
    """One line for each connection."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int], load: Load, drain: Path) -> None:
        super().__init__(address, Handler)
        self.load = load
        self.drain = drain

    def line(self) -> str:
        state = "drain" if self.drain.exists() else "up ready"
        return f"{self.load.left()}% {state}\n"


class Handler(socketserver.BaseRequestHandler):
    """Says the line and closes; what the client sends is not read."""

    def handle(self) -> None:
        server: Agent = self.server  # type: ignore[assignment]
        self.request.settimeout(5)
        self.request.sendall(server.line().encode("ascii"))


def main(words: list[str] | None = None) -> int:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", default="0.0.0.0", help="where to listen (default: everywhere)")
    parser.add_argument("--port", type=int, default=3333, help="default: 3333")
    parser.add_argument(
        "--connections",
        type=int,
        default=0,
        metavar="N",
        help="established connections that are full load",
    )
    parser.add_argument(
        "--state",
        type=Path,
        default=Path("/run/willis-agent"),
        help="the file 'drain' in it drains",
    )
    given = parser.parse_args(words)
    load = Load(given.connections)
    try:
        server = Agent((given.address, given.port), load, given.state / "drain")
    except OSError as error:
        print(
            f"willis-agent: cannot listen on {given.address}:{given.port}: {error.strerror}", file=sys.stderr
        )
        return 1
    threading.Thread(target=load.watch, daemon=True).start()
    with server:
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
