"""The process: binds, gives up its rights, listens, and stops at once also with open streams."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn
from pyroute2 import IPRoute

from willis.web import privileges
from willis.web.app import build
from willis.web.certificate import made_once
from willis.web.guard import MOST_HEADER, Door
from willis.web.hosts import Network, plain_address
from willis.web.protocol import PatientProtocol
from willis.web.proxy import Engine
from willis.web.tls import Files, Tls, TlsError

log = logging.getLogger("willis.web")

SOCKET = Path("web") / "web.sock"
"""The engine's socket for this process, below its run directory."""
_MOST_CONNECTIONS = 512


class StartError(Exception):
    """The process cannot start; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What ``willis web`` was started with."""

    listen: tuple[tuple[str, int], ...]
    run: Path
    """The engine's run directory."""
    state: Path
    """Where the certificate made at the first start is."""
    user: str
    names: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    files: Files | None = None
    """A certificate of the site's own."""


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises StartError."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("uvicorn.access").disabled = True
    try:
        become = privileges.user(settings.user)
        os.umask(0o077)
        if not settings.state.exists():
            settings.state.mkdir(mode=0o700)
            if become is not None:
                os.chown(settings.state, become.pw_uid, become.pw_gid)
        with _bound(settings.listen) as sockets:
            privileges.give_up(become)
            names = _names(settings.names)
            files = settings.files or Files(*made_once(settings.state, names | _addresses()))
            tls = Tls(files)
            asyncio.run(_serve(settings, sockets, tls, names))
    except (OSError, privileges.PrivilegeError, TlsError) as error:
        raise StartError(str(error)) from error


class _Server(uvicorn.Server):
    """Says that it is about to stop before it waits for answers to end: a stream would never."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping
        self._loop = asyncio.get_running_loop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        super().handle_exit(sig, frame)


async def _serve(settings: Settings, sockets: list[socket.socket], tls: Tls, names: frozenset[str]) -> None:
    stopping = asyncio.Event()
    engine = Engine(settings.run / SOCKET, stopping)
    config = uvicorn.Config(
        build(engine, Door(names, settings.networks)),
        lifespan="off",
        http=PatientProtocol,
        ws="none",
        log_config=None,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        h11_max_incomplete_event_size=MOST_HEADER,
        timeout_graceful_shutdown=3,
        ssl_context_factory=lambda *_: tls.context,
    )
    server = _Server(config, stopping)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.handle_exit, number, None)
    for sock in sockets:
        host, port = sock.getsockname()[:2]
        log.info("https://%s:%d, SHA-256 fingerprint %s", _in_url(host), port, tls.fingerprint)
    following = asyncio.create_task(tls.follow())
    try:
        await server.serve(sockets=sockets)
    finally:
        following.cancel()
        await engine.close()


@contextmanager
def _bound(addresses: tuple[tuple[str, int], ...]) -> Iterator[list[socket.socket]]:
    """A socket for each; nobody can connect before uvicorn listens. Raises OSError."""
    with ExitStack() as stack:
        sockets = []
        for host, port in addresses:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            # The protocol is named, so that asyncio sets TCP_NODELAY; else small answers wait 40 ms.
            sock = stack.enter_context(socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((host, port))
            except OSError as error:
                raise OSError(f"cannot listen on {_in_url(host)}:{port}: {error.strerror}") from error
            sockets.append(sock)
        yield sockets


def _names(given: tuple[str, ...]) -> frozenset[str]:
    """What the node is called: by itself, and by ``--host``."""
    return frozenset(name.lower().rstrip(".") for name in (*given, "localhost", socket.gethostname()))


def _addresses() -> set[str]:
    """The node's own, for the certificate; without those that hold on one wire only (RFC 4291, 2.5.6)."""
    with IPRoute() as route:
        found = {message.get_attr("IFA_ADDRESS") for message in route.get_addr()}
    addresses = (plain_address(text) for text in found if text)
    return {str(address) for address in addresses if address is not None and not address.is_link_local}


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
