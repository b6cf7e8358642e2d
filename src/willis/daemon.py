"""``willis engine``: wires everything on one node; the only file that names concrete engines."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

import uvicorn

from willis.acme.account import Account, AccountError
from willis.acme.ready import Ready
from willis.api import sockets
from willis.api.app import build
from willis.api.peer import PeerProtocol
from willis.certificates.store import CertificateError, CertificateStore
from willis.control.changes import Refused
from willis.control.controller import Controller
from willis.control.database import StoreError
from willis.control.renewal import Renewal
from willis.control.store import Store
from willis.doctor import direct
from willis.engines.addresses.driver import AddressesEngine
from willis.engines.ebpf.driver import EbpfEngine
from willis.engines.haproxy.driver import HaproxyEngine
from willis.engines.haproxy.write import TokenError, path
from willis.engines.kernel.driver import KernelEngine
from willis.engines.nft.driver import NftEngine
from willis.engines.port import Engine, EngineError
from willis.engines.quiet.driver import QuietEngine
from willis.engines.routes.driver import RoutesEngine
from willis.health.looks import Looks
from willis.health.schedule import Schedule
from willis.health.trust import Trust
from willis.model.config import Config

log = logging.getLogger("willis.daemon")


class Layer4(StrEnum):
    """Who carries the layer-4 services: the kernel, or HAProxy in TCP mode (the light twin)."""

    EBPF = "ebpf"
    HAPROXY = "haproxy"


@dataclass(frozen=True, slots=True)
class Places:
    """Where one engine keeps its things."""

    run: Path
    """Sockets and pid files; gone after a reboot."""
    state: Path
    """The store and the generated files; kept."""
    pin: Path
    """On a bpffs: pinned programs, maps and links."""


class StartError(Exception):
    """The engine cannot start; the text says why and what to do."""


def run(node: str, places: Places, layer4: Layer4, web_user: str | None = None) -> None:
    """Serve until SIGTERM or SIGINT. Traffic goes on afterwards. ``web_user``: see ``sockets.for_web``.

    Raises StartError.
    """
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("uvicorn.access").disabled = True
    places = _settled(places)
    try:
        for place in (places.run, places.state):
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (places.run / "engine.lock").open("w") as lock:
            _only_one(lock.fileno(), places.run)
            asyncio.run(_serve(node, places, layer4, web_user))
    except (OSError, EngineError, StoreError, CertificateError, Refused) as error:
        raise StartError(str(error)) from error


def _settled(places: Places) -> Places:
    """Absolute, whatever the directory of whoever comes to use them. Raises StartError."""
    found = Places(places.run.absolute(), places.state.absolute(), places.pin.absolute())
    for option, place in (("--run-dir", found.run), ("--state-dir", found.state)):
        try:
            path(str(place))
        except TokenError:
            raise StartError(
                f"{option} is {str(place)!r}, which HAProxy's configuration cannot name; "
                "choose one with no more than 200 letters, digits and ._+@-"
            ) from None
    return found


def _only_one(lock: int, place: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StartError(
            f"another engine already runs with {place}; stop it first or give another --run-dir"
        ) from None


def _engines(places: Places, layer4: Layer4, ready: Ready) -> Sequence[Engine]:
    """Inner to outer: whoever carries traffic stands before the VIPs come up."""

    def thumbprint(config: Config) -> str | None:
        try:
            return ready(config)
        except (AccountError, CertificateError) as error:
            raise EngineError(str(error)) from error

    if layer4 is Layer4.HAPROXY:
        return (
            HaproxyEngine(places.run, places.state, layer4=True, transparent=False, thumbprint=thumbprint),
        )
    return (
        EbpfEngine(places.pin),
        NftEngine(),
        KernelEngine(places.state),
        RoutesEngine(),
        QuietEngine(),
        HaproxyEngine(places.run, places.state, thumbprint=thumbprint),
        AddressesEngine(),
    )


async def _serve(node: str, places: Places, layer4: Layer4, web_user: str | None) -> None:
    store = Store(places.state / "willis.db")
    certificates = CertificateStore(places.state / "certificates")
    account = Account(places.state / "acme")
    controller = Controller(
        node,
        store,
        _engines(places, layer4, Ready(account, certificates)),
        certificates,
        eyes=partial(Schedule, look=Looks(Trust(certificates)).look),
        renewal=Renewal(certificates, account, places.state / "acme"),
        knock=direct.look if layer4 is Layer4.EBPF else None,
    )
    with sockets.console(places.run) as console, sockets.for_web(places.run, web_user) as web:
        config = uvicorn.Config(
            build(controller, places.state),
            lifespan="off",
            http=PeerProtocol,
            log_config=None,
            proxy_headers=False,  # who asks is found out by the door, and nowhere else
            timeout_graceful_shutdown=2,
            h11_max_incomplete_event_size=65536,
        )
        server = uvicorn.Server(config)

        def end(number: int) -> None:
            """The server waits for answers to end; those that go on would never."""
            controller.end_follows()
            server.handle_exit(number, None)

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, end, number)
        controller.start()
        log.info("engine of node %s is ready on %s", node, places.run / "engine.sock")
        try:
            await server.serve(sockets=[console, web])
        finally:
            await controller.close()
