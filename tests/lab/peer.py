"""A server to look at: ``python -m tests.lab.peer WHAT PORT [CERTIFICATE]``, until it is killed.

It listens on $PEER_ADDRESS, else on 127.0.0.1. ``scp[:option...]`` is a pynetdicom SCP
(``called=``, ``calling=``; ``find=``, ``store=``, ``echo=`` statuses in hexadecimal;
``slow=`` milliseconds, from one SIGUSR1 to the next), ``mllp`` python-hl7, ``mute`` takes
connections and says nothing, ``fhir``, ``dns``, ``https`` with a certificate.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socketserver
import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HERE = os.environ.get("PEER_ADDRESS", "127.0.0.1")


def scp(port: int, options: dict[str, str]) -> None:
    import pynetdicom
    from pynetdicom import evt

    ae = pynetdicom.AE(options.get("called", "ANY"))
    ae.require_called_aet = "called" in options
    ae.require_calling_aet = [options["calling"]] if "calling" in options else []
    for uid in ("1.1", "5.1.4.31", "5.1.4.1.2.2.1", "5.1.4.1.1.7"):
        ae.add_supported_context(f"1.2.840.10008.{uid}")
    status = {name: int(options.get(name, "0"), 16) for name in ("echo", "find", "store")}

    slow = False

    def turn(*_: object) -> None:
        nonlocal slow
        slow = not slow

    def echo(_: Any) -> int:
        time.sleep(int(options.get("slow", "0")) / 1000 if slow else 0)
        return status["echo"]

    def find(_: Any) -> Any:
        if status["find"]:
            yield status["find"], None

    handlers = [
        (evt.EVT_C_ECHO, echo),
        (evt.EVT_C_FIND, find),
        (evt.EVT_C_STORE, lambda _: status["store"]),
    ]
    signal.signal(signal.SIGUSR1, turn)
    ae.start_server((HERE, port), evt_handlers=handlers)


def mllp(port: int) -> None:
    from hl7.mllp import start_hl7_server

    async def receive(reader: Any, writer: Any) -> None:
        try:
            while True:
                writer.writemessage((await reader.readmessage()).create_ack())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run() -> None:
        server = await start_hl7_server(receive, HERE, port, encoding="utf-8")
        await server.serve_forever()

    asyncio.run(run())


def mute(port: int) -> None:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while self.request.recv(65536):
                pass

    socketserver.ThreadingTCPServer((HERE, port), Handler).serve_forever()


def dns(port: int) -> None:
    class Handler(socketserver.BaseRequestHandler):
        """Knows pacs.example.org alone."""

        def handle(self) -> None:
            data, sock = self.request
            known = data[12:] == b"\x04pacs\x07example\x03org\0\0\1\0\1"
            answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\x3c\0\x0b" if known else b""
            head = data[:2] + (b"\x81\x80\0\1\0\1" if known else b"\x81\x83\0\1\0\0") + bytes(4)
            sock.sendto(head + data[12:] + answer, self.client_address)

    socketserver.UDPServer((HERE, port), Handler).serve_forever()


def web(port: int, certificate: str | None) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            body = b'{"resourceType": "CapabilityStatement", "database": "up"}'
            codes = {"/": 200, "/metadata": 200, "/broken": 500}
            self.send_response(codes.get(path, 404))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((HERE, port), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


def main() -> None:
    what, port, *rest = sys.argv[1:]
    kind, *options = what.split(":")
    number = int(port)
    if kind == "scp":
        scp(number, dict(option.split("=") for option in options))
    elif kind in ("fhir", "https"):
        web(number, rest[0] if rest else None)
    else:
        {"mllp": mllp, "mute": mute, "dns": dns}[kind](number)


if __name__ == "__main__":
    main()
