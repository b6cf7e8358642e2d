"""A client of echo services, run on a machine of the twin. It prints the server's name for each answer.

client.py once VIP PORT COUNT [SOURCE …]   COUNT connections one after another, from each source in turn
client.py hold VIP PORT COUNT              COUNT connections at once; holds them until standard input closes
client.py talk VIP PORT SECONDS            one connection that talks ten times a second until standard input
                                           closes, at most so long; ends with 'done'
client.py pace VIP PORT COUNT              COUNT connections, one every two seconds
"""

from __future__ import annotations

import select
import socket
import sys
import time


def ask(connection: socket.socket) -> str:
    connection.sendall(b"who")
    answer = connection.recv(1000)
    if not answer:
        raise ConnectionError("closed by the server")
    return answer.split()[0].decode()


def connect(vip: str, port: int, source: str = "") -> socket.socket:
    return socket.create_connection((vip, port), timeout=60, source_address=(source, 0) if source else None)


def once(vip: str, port: int, count: int, sources: list[str]) -> None:
    for number in range(count):
        with connect(vip, port, sources[number % len(sources)] if sources else "") as connection:
            print(ask(connection), flush=True)


def hold(vip: str, port: int, count: int) -> None:
    held = [connect(vip, port) for _ in range(count)]
    for connection in held:
        print(ask(connection), flush=True)
    print("held", flush=True)
    sys.stdin.read()
    for connection in held:
        ask(connection)
        connection.close()
    print("done", flush=True)


def talk(vip: str, port: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    with connect(vip, port) as connection:
        while time.monotonic() < end and not select.select([sys.stdin], [], [], 0.1)[0]:
            print(ask(connection), flush=True)
    print("done", flush=True)


def pace(vip: str, port: int, count: int) -> None:
    for number in range(count):
        time.sleep(2 if number else 0)
        once(vip, port, 1, [])


def main() -> None:
    verb, vip, port, number, *rest = sys.argv[1:]
    if verb == "once":
        once(vip, int(port), int(number), rest)
    elif verb == "pace":
        pace(vip, int(port), int(number))
    elif verb == "hold":
        hold(vip, int(port), int(number))
    else:
        talk(vip, int(port), float(number))


main()
