"""The engine under test, filled the public way: a Config of ours through compile, diff and apply."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_interface
from pathlib import Path

from bench.kernel import Hook
from bench.topology import BACK, FRONT, PORT, VIP, inside, pin_folder, server_address
from willis.engines import ebpf
from willis.engines.ebpf.bpf import close_all
from willis.engines.ebpf.driver import EbpfEngine
from willis.engines.ebpf.layout import LAYOUT
from willis.engines.ebpf.libbpf import load
from willis.model.check import Check
from willis.model.config import Config
from willis.model.node import Attach, Host, Interface
from willis.model.service import Forwarding, Persistence, Protocol, RealServer, Scheduler, VirtualService
from willis.model.status import Health, Status, Verdict
from willis.plan.diff import diff
from willis.plan.members import targets

MOST_SERVERS = 64
_OBJECT = Path(ebpf.__file__).with_name("willis_l4.o")


def site(hook: Hook, persistence: Persistence | None = None, servers: int = 3) -> Config:
    """One address, TCP and UDP, Maglev, ``servers`` (1 to 64) real servers of equal weight."""
    attach = Attach.XDP if hook is Hook.XDP else Attach.TCX
    pool = tuple(RealServer(f"s{i}", ip_address(server_address(i))) for i in range(servers))
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
                forwarding=Forwarding.DR,
                check=Check(),
                pool=pool,
                protocol=protocol,
                scheduler=Scheduler.MH,
                persistence=persistence,
            )
            for protocol in Protocol
        ),
    )


@contextmanager
def running(config: Config, namespace: int, bpffs: Path) -> Iterator[Path]:
    """The engine in ``namespace`` with ``config`` applied and every real server up: its pins' folder."""
    status = Status(health={target: Health(Verdict.UP) for target in targets(config)})
    with pin_folder(bpffs) as pins, inside(namespace):
        engine = EbpfEngine(pins)
        try:
            engine.apply(diff(engine.name, engine.observe(), engine.compile(config, status)))
            yield pins
        finally:
            engine.close()


@contextmanager
def program(pins: Path, hook: Hook) -> Iterator[int]:
    """Another copy of the running engine's program, over the same maps: its descriptor."""
    loaded = load(_OBJECT.read_bytes(), pins / LAYOUT)
    try:
        yield loaded.programs[f"willis_{hook.value}"]
    finally:
        close_all(loaded.programs.values())
        close_all(each.fd for each in loaded.maps.values())
