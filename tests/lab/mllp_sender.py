"""An interface engine's habit: one message at a time, and an unacknowledged one again on a new connection.

    mllp_sender.py VIP PORT COUNT

Prints 'ack CONTROL-ID' for each message and 'reconnect REASON' for each broken connection.
"""

from __future__ import annotations

import socket
import sys
import time

from willis.lab.data import hl7_numbered

_PAUSE_S = 0.005
_RETRY_S = 0.2
_LIMIT_S = 60


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
    deadline = time.monotonic() + _LIMIT_S
    connection: socket.socket | None = None
    for message in hl7_numbered(count, "DRILL"):
        control = None
        while control is None:
            try:
                connection = connection or socket.create_connection((vip, port), timeout=5)
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
