"""Connections to echo services that are held and asked now and then: ``held.py COUNT VIP:PORT …``.

For each line of standard input, a number of seconds, it asks all of them at once and prints how many
answered within that time, by place.
"""

from __future__ import annotations

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor


def connect(place: str) -> socket.socket:
    vip, _, port = place.rpartition(":")
    return socket.create_connection((vip, int(port)), timeout=60)


def answers(connection: socket.socket, patience_s: float) -> bool:
    connection.settimeout(patience_s)
    try:
        connection.sendall(b"who")
        return bool(connection.recv(1000))
    except OSError:
        return False


count, *places = sys.argv[1:]
held = [(place, connect(place)) for place in places for _ in range(int(count))]
with ThreadPoolExecutor(len(held)) as pool:
    for line in sys.stdin:
        found = dict.fromkeys(places, 0)
        told = pool.map(answers, [connection for _, connection in held], [float(line)] * len(held))
        for (place, _), answered in zip(held, told, strict=True):
            found[place] += answered
        print(json.dumps(found), flush=True)
