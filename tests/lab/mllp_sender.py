"""An interface engine's habit: one message at a time, and an unacknowledged one again on a new connection.

    mllp_sender.py VIP PORT COUNT

It sends so many, and goes on until standard input closes.
Prints 'ack CONTROL-ID' for each message and 'reconnect REASON' for each broken connection.
"""

from __future__ import annotations

import select
import socket
import sys
import time

from willis.lab.data import hl7_numbered

_PAUSE_S = 0.005
_RETRY_S = 0.2
_LIMIT_S = 60
_MOST = 1_000_000


def exchange(connection: socket.socket, message: str) -> str:
    """Send one message; the acknowledged control id."""
    connection.sendall(b"\x0b" + message.encode() + b"\x1c\r")
    answer = b""
    while not answer.endswith(b"\x1c\r"):
        chunk = connection.recv(65536)
        if not chunk:
            raise ConnectionError("closed before the acknowledgement")
        answer += chunk
    acknowledgement = next(line for line in answer.decode().split("\r") if line.startswith("MSA"))
    code, control = acknowledgement.split("|")[1:3]
    if code != "AA":
        raise ConnectionError(f"not accepted: {code}")
    return control


def main() -> None:
    vip, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    connection: socket.socket | None = None
    for number, message in enumerate(hl7_numbered(_MOST, "DRILL")):
        if number >= count and select.select([sys.stdin], [], [], 0)[0]:
            break
        control, deadline = None, time.monotonic() + _LIMIT_S
        while control is None:
            try:
                connection = connection or socket.create_connection((vip, port), timeout=30)
                control = exchange(connection, message)
            except OSError as error:
                print(f"reconnect {error}", flush=True)
                connection = None
                if time.monotonic() > deadline:
                    sys.exit("no server took the message in time")
                time.sleep(_RETRY_S)
        print(f"ack {control}", flush=True)
        time.sleep(_PAUSE_S)


main()
