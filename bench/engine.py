"""The engines under test, filled the public way: a Config of ours through compile, diff and apply."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
from pathlib import Path

from bench.kernel import Hook
from bench.topology import BACK, FRONT, PORT, VIP, inside, pin_folder, server_address
from willis.engines import ebpf
from willis.engines.ebpf.bpf import close_all
from willis.engines.ebpf.driver import EbpfEngine
from willis.engines.ebpf.layout import LAYOUT
from willis.engines.ebpf.libbpf import Loaded, load
from willis.engines.kernel.driver import KernelEngine
from willis.engines.nft.driver import NftEngine
from willis.engines.port import Engine
from willis.model.check import Check
from willis.model.config import Config
from willis.model.node import Attach, Host, Interface
from willis.model.persistence import Persistence
from willis.model.service import Forwarding, Protocol, RealServer, Scheduler, VirtualService
from willis.model.status import Health, Status, Verdict
from willis.plan.diff import diff
from willis.plan.members import targets

MOST_SERVERS = 64
_OBJECT = Path(ebpf.__file__).with_name("willis_l4.o")


@dataclass(frozen=True, slots=True)
class Policy:
    """What the services of a site do with a packet."""

    scheduler: Scheduler = Scheduler.MH
    servers: int = 3
    """1 to 64, of equal weight."""
    persistence: Persistence | None = None
    forwarding: Forwarding = Forwarding.DR


def up(config: Config) -> Status:
    """Every real server passes its checks."""
    return Status(health={target: Health(Verdict.UP) for target in targets(config)})


def site(hook: Hook, policy: Policy) -> Config:
    """One address, TCP and UDP."""
    attach = Attach.XDP if hook is Hook.XDP else Attach.TCX
    pool = tuple(RealServer(f"s{i}", ip_address(server_address(i))) for i in range(policy.servers))
    return Config(
        site="bench",
        interfaces=(
            Interface("b0", (ip_interface(FRONT),), attach),
            Interface("b1", (ip_interface(BACK),), attach),
        ),
        hosts=tuple(Host(server.host, server.address) for server in pool),
        services=tuple(
            VirtualService(
                name=f"bench-{protocol}",
                vip=ip_address(VIP),
                ports=(PORT,),
                forwarding=policy.forwarding,
                check=Check(),
                pool=pool,
                protocol=protocol,
                scheduler=policy.scheduler,
                persistence=policy.persistence,
            )
            for protocol in Protocol
        ),
    )


@contextmanager
def running(config: Config, namespace: int, bpffs: Path) -> Iterator[Path]:
    """Layer 4 in ``namespace`` with ``config`` applied and every real server up: the folder of its pins.

    What no service needs (translation, the kernel's settings for it) changes nothing.
    """
    with ExitStack() as stack:
        pins = stack.enter_context(pin_folder(bpffs))
        ledger = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="willis-bench-")))
        stack.enter_context(inside(namespace))
        engines: tuple[Engine, ...] = (KernelEngine(ledger), NftEngine(), EbpfEngine(pins))
        for engine in engines:
            stack.callback(engine.close)
            engine.apply(diff(engine.name, engine.observe(), engine.compile(config, up(config))))
        yield pins


@contextmanager
def copy(pins: Path) -> Iterator[Loaded]:
    """Another copy of the running engine's programs, over the same maps."""
    loaded = load(_OBJECT.read_bytes(), pins / LAYOUT)
    try:
        yield loaded
    finally:
        close_all(loaded.programs.values())
        close_all(each.fd for each in loaded.maps.values())
