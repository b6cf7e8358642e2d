"""A client for what no standard tool sends: ``python -m willis.lab.sender tcp|udp|mllp HOST PORT``.

Sends standard input (mllp: each message of it, framed) and prints each answer. Exit code 1
without an answer.
"""

from __future__ import annotations

import socket
import sys

_PATIENCE_S = 10.0
_CHUNK = 65536
_START, _END = b"\x0b", b"\x1c\r"


def main() -> int:
    """Send, print, and say in one line what went wrong."""
    kind, host, port = sys.argv[1:4]
    data = sys.stdin.buffer.read()
    try:
        answers = {"tcp": _tcp, "udp": _udp, "mllp": _mllp}[kind]((host, int(port)), data)
    except OSError as error:
        sys.stderr.write(f"{host} port {port}: {error}\n")
        return 1
    sys.stdout.buffer.write(b"\n".join(answers) + b"\n")
    return 0 if any(answers) else 1


def _tcp(where: tuple[str, int], data: bytes) -> list[bytes]:
    with socket.create_connection(where, _PATIENCE_S) as connection:
        connection.sendall(data)
        return [connection.recv(_CHUNK)]


def _udp(where: tuple[str, int], data: bytes) -> list[bytes]:
    family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as endpoint:
        endpoint.settimeout(_PATIENCE_S)
        endpoint.connect(where)
        endpoint.send(data)
        return [endpoint.recv(_CHUNK)]


def _mllp(where: tuple[str, int], data: bytes) -> list[bytes]:
    """One connection; each message waits for its acknowledgement."""
    answers = []
    with socket.create_connection(where, _PATIENCE_S) as connection:
        for message in data.split(b"MSH|")[1:]:
            connection.sendall(_START + b"MSH|" + message.strip() + b"\r" + _END)
            answer = b""
            while not answer.endswith(_END):
                part = connection.recv(_CHUNK)
                if not part:
                    raise ConnectionResetError("closed before the acknowledgement")
                answer += part
            answers.append(answer.strip(_START + _END))
    return answers


if __name__ == "__main__":
    sys.exit(main())
