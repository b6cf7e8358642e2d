"""``./dev bench store``: a CT study to an archive, directly and through proxies.

With the usual socket options DCMTK's small answers wait for an acknowledgement that the
other side delays (Nagle's algorithm meets delayed ACK). Willis acknowledges DICOM servers
at once, by a route; what that gains is the first table, and it says nothing of a proxy's
speed. That is the second one: the same study to a server without that wait (its
TCP_NODELAY set), and the CPU that a proxy needs for it.

The proxy by hand forwards TCP, writes a log line for each connection and reads nothing;
the one by Willis also reads titles and counts statuses. Client, proxies and server stand
in three network namespaces with a router's hop between them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from pathlib import Path
from statistics import median

from rich.console import Group

from bench.proxies import cpu_s, logs_of, read_logs, serve, start, up
from bench.topology import VIP, Bed, Unable, bed, inside, ip, need, server_address, sysctl
from willis.engines.haproxy.driver import HaproxyEngine
from willis.engines.haproxy.process import binary
from willis.engines.haproxy.runtime import Master
from willis.engines.port import EngineError
from willis.engines.routes.driver import RoutesEngine
from willis.lab import data
from willis.model.check import Check
from willis.model.config import Config
from willis.model.node import Host
from willis.model.service import Application, Forwarding, RealServer, VirtualService
from willis.plan.diff import diff
from willis.terminal import table as plain_table

TARGET_GAIN = 5.0
_USUAL, _FAST = 11112, 11113
"""Ports of the server with usual sockets, and of the one that sends its answers at once."""
_SERVERS = {_USUAL: "usual", _FAST: "TCP_NODELAY"}
_BY_HAND = 10_000
"""Added to a port: the same through the proxy by hand."""

_HAND = """\
global
    stats socket {home}/hand.sock mode 600 level admin
    maxconn 4000
ring access
    format raw
    maxlen 2048
    size 4194304
defaults
    mode tcp
    log ring@access len 2048 format raw local0
    option tcplog
    option clitcpka
    option srvtcpka
    timeout connect 5s
    timeout client 1h
    timeout server 1h
{listens}
"""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """Medians. ``cpu``: seconds of a proxy a GiB; None without one."""

    way: str
    server: str
    seconds: float
    mib_s: float
    cpu: float | None


@dataclass(frozen=True, slots=True)
class Report:
    slices: int
    rounds: int
    gain: float
    """How many times sooner the study is stored through Willis than directly, with usual sockets."""
    rows: tuple[Row, ...]

    def as_json(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Way:
    name: str
    server: str
    address: str
    port: int
    pid: int | None
    quick: bool


def measure(slices: int, rounds: int, tell: Tell) -> Report:
    """Send a study of so many slices each way in turn. Raises Unable."""
    need("storescu", "storescp", "ethtool", "ip")
    files = data.ct(slices)
    found: dict[_Way, list[tuple[float, float | None]]] = {}
    with _proxies() as (made, ways):
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            for way in ways if number % 2 == 0 else ways[::-1]:
                found.setdefault(way, []).append(_send(made, way, files))
    size = sum(file.stat().st_size for file in files)
    rows = tuple(_row(way, size, found[way]) for way in ways)
    usual = {row.way: row.seconds for row in rows if row.server == _SERVERS[_USUAL]}
    return Report(slices, rounds, usual["direct"] / usual["Willis"], rows)


def table(report: Report) -> Group:
    """What a terminal of 80 columns shows."""
    shown = plain_table("way", "server's sockets", "s", "MiB/s", "CPU s a GiB")
    for row in report.rows:
        cpu = "" if row.cpu is None else f"{row.cpu:.2f}"
        shown.add_row(row.way, row.server, f"{row.seconds:.2f}", f"{row.mib_s:.0f}", cpu)
    verdict = "met" if report.gain >= TARGET_GAIN else "missed"
    return Group(
        f"{report.slices} CT slices; medians of {report.rounds} rounds in turn",
        shown,
        f"with usual sockets {report.gain:.1f}x as fast as directly, target {TARGET_GAIN:g}x {verdict}",
    )


def _row(way: _Way, size: int, samples: list[tuple[float, float | None]]) -> Row:
    seconds = median(taken for taken, _ in samples)
    used = [cpu for _, cpu in samples if cpu is not None]
    cpu = median(used) / size * 2**30 if used else None
    return Row(way.name, way.server, seconds, size / seconds / 2**20, cpu)


def _send(made: Bed, way: _Way, files: list[Path]) -> tuple[float, float | None]:
    """Seconds, and the proxy's seconds of CPU."""
    with inside(made.balancer):
        _quick(way.quick)
    before = cpu_s(way.pid) if way.pid else 0.0
    began = time.monotonic()
    with inside(made.generator):
        done = subprocess.run(
            [_tool("storescu"), "-aet", "CT1", "-aec", "PACS", way.address, str(way.port), *map(str, files)],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    taken = time.monotonic() - began
    if done.returncode:
        raise Unable(f"storescu was not served ({way.name}): {done.stderr[-200:]}")
    return taken, cpu_s(way.pid) - before if way.pid else None


@contextmanager
def _proxies() -> Iterator[tuple[Bed, list[_Way]]]:
    home = Path(tempfile.mkdtemp(prefix="willis-bench-"))
    engine = HaproxyEngine(home, home)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home)
        stack.callback(engine.stop)
        made = stack.enter_context(bed(1))
        _address(made)
        with inside(made.sink):
            for port, extra in ((_USUAL, {}), (_FAST, {"TCP_NODELAY": "1"})):
                argv = [_tool("storescp"), "--ignore", "--disable-host-lookup", str(port)]
                stack.enter_context(_running(subprocess.Popen(argv, env=os.environ | extra)))
        with inside(made.balancer):
            try:
                hand = stack.enter_context(_running(start(binary(), home / "hand.cfg", _hand(home))))
                serve(engine, _site())
                logs = engine.stream(fresh=True), logs_of(home / "hand.sock")
                stack.enter_context(_running(read_logs(*logs)))
            except EngineError as error:
                raise Unable(str(error)) from error
        worker = Master(home / "haproxy-master.sock").workers().current
        yield made, _ways(hand.pid, worker)


def _ways(hand: int, worker: int | None) -> list[_Way]:
    ways = [_Way("direct", _SERVERS[_USUAL], server_address(0), _USUAL, None, quick=False)]
    for port, server in _SERVERS.items():
        ways.append(_Way("by hand", server, VIP, port + _BY_HAND, hand, quick=False))
        ways.append(_Way("Willis", server, VIP, port, worker, quick=True))
    return ways


def _address(made: Bed) -> None:
    with inside(made.balancer):
        ip(f"addr add {VIP}/32 dev b0", "link set lo up")
        sysctl(ip_forward=1)
    with inside(made.generator):
        ip("addr add 10.60.0.1/16 dev g0", "route add default via 10.60.0.2")
    with inside(made.sink):
        ip(f"addr add {server_address(0)}/24 dev s0", "route add default via 10.61.0.2")


def _site() -> Config:
    server = IPv4Address(server_address(0))
    services = (
        VirtualService(
            name,
            IPv4Address(VIP),
            (port,),
            Forwarding.PROXY,
            Check(),
            (RealServer("s1", server),),
            application=Application.DICOM,
        )
        for name, port in (("Usual", _USUAL), ("Fast", _FAST))
    )
    return Config(site="bench", hosts=(Host("s1", server),), services=tuple(services))


def _quick(on: bool) -> None:
    """The quick routes of the site, or none."""
    engine, config = RoutesEngine(), _site()
    want = engine.compile(config, up(config))
    engine.apply(diff(engine.name, engine.observe(), want if on else {}))


def _hand(home: Path) -> str:
    listens = (
        f"listen to{port}\n    bind {VIP}:{port + _BY_HAND}\n    server s1 {server_address(0)}:{port}"
        for port in (_USUAL, _FAST)
    )
    return _HAND.format(home=home, listens="\n".join(listens))


def _tool(name: str) -> str:
    """DCMTK's; pynetdicom has tools of the same names in our environment."""
    return shutil.which(name, path="/usr/bin:/usr/local/bin") or name


@contextmanager
def _running(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.kill()
        process.wait()
