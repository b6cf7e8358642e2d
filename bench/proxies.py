"""The proxies that ``bench l7`` compares: one by Willis, one tuned by hand, on loopback.

The one by hand is what a careful administrator writes for the same services: the client's
address and our X-Forwarded headers for the servers, none of them from the client, time-outs
that stop slow clients, the same log. It lacks what Willis adds: the guard against smuggling,
server states that outlive reloads, and connections that end with an answer on a reload.

Behind both stand the same servers: for HTTP a HAProxy that answers by itself (nothing else
answers 1 KB as cheaply), for bytes a process that sends zeros. Their logs are read, as an
engine does: without a reader HAProxy 2.6 tries to connect again without a pause, and that
would be measured.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from bench.topology import Unable
from willis.engines.haproxy import log
from willis.engines.haproxy.compile import CONFIG
from willis.engines.haproxy.driver import HaproxyEngine
from willis.engines.haproxy.process import binary
from willis.engines.haproxy.runtime import Master, Runtime
from willis.engines.port import EngineError
from willis.model.check import Check
from willis.model.config import Config
from willis.model.node import Host
from willis.model.service import Application, Forwarding, RealServer, Scheduler, VirtualService
from willis.model.status import Health, Status, Verdict
from willis.plan.diff import diff
from willis.plan.members import targets

_TICKS = os.sysconf("SC_CLK_TCK")
_NET = f"127.{os.getpid() % 250 + 2}.{os.getpid() // 250 % 250}"
WEB_PORT, BYTES_PORT, HAND_WEB_PORT, HAND_BYTES_PORT = 8080, 8090, 8180, 8190
VIP = IPv4Address(f"{_NET}.100")
_SERVERS = {f"s{n}": IPv4Address(f"{_NET}.{10 + n}") for n in (1, 2)}

_HAND = """\
global
    maxconn 4000
    stats socket {home}/hand.sock mode 600 level admin
{ring}
defaults
    timeout connect 5s
    timeout client 1m
    timeout server 1m
    timeout http-request 10s
    timeout http-keep-alive 30s
frontend web
    mode http
    bind {vip}:{web}
{http_log}
    http-request del-header X-Forwarded-For
    option forwardfor
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Port %[dst_port]
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    default_backend web
backend web
    mode http
    balance leastconn
    http-reuse safe
{web_servers}
listen bytes
    mode tcp
    bind {vip}:{bytes}
{tcp_log}
    balance leastconn
{bytes_servers}
"""

_ANSWERS = """\
global
    maxconn 4000
defaults
    mode http
    timeout connect 5s
    timeout client 1m
    timeout server 1m
    timeout http-keep-alive 1m
frontend answers
{binds}
    http-request return status 200 content-type application/octet-stream string {body}
"""

_ZEROS = """\
import socket, sys, threading
block = bytes(1 << 20)
def serve(wire):
    with wire:
        try:
            for _ in range(int(wire.recv(16))):
                wire.sendall(block)
        except (OSError, ValueError):
            pass
listeners = [socket.create_server((address, int(sys.argv[1])), backlog=64) for address in sys.argv[2:]]
print("ready", flush=True)
def accept(listener):
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
for listener in listeners[1:]:
    threading.Thread(target=accept, args=(listener,), daemon=True).start()
accept(listeners[0])
"""


_READER = """\
import socket, sys, threading
def read(wire):
    block = bytearray(1 << 16)
    while wire.recv_into(block):
        pass
wires = [socket.socket(fileno=int(word)) for word in sys.argv[1:]]
threads = [threading.Thread(target=read, args=(wire,)) for wire in wires]
for thread in threads:
    thread.start()
"""


@dataclass(frozen=True, slots=True)
class Proxy:
    """One of the two."""

    name: str
    pid: int
    """Of the process that carries traffic."""
    web: tuple[str, int]
    bytes: tuple[str, int]

    def cpu_s(self) -> float:
        """Seconds of CPU that it has used."""
        return cpu_s(self.pid)


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has used (proc(5), utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextmanager
def both() -> Iterator[tuple[Proxy, Proxy]]:
    """(by hand, by Willis); everything goes away again. Raises Unable."""
    try:
        haproxy = binary()
    except EngineError as error:
        raise Unable(str(error)) from error
    home = Path(tempfile.mkdtemp(prefix="willis-bench-"))
    processes: list[subprocess.Popen[bytes]] = []
    engine = HaproxyEngine(home, home)
    try:
        processes += [
            start(haproxy, home / "answers.cfg", _answers()),
            _zeros(),
        ]
        text = serve(engine, site())
        worker = Master(home / "haproxy-master.sock").workers().current
        hand = start(haproxy, home / "hand.cfg", _hand(home, text))
        processes.append(hand)
        processes.append(read_logs(engine.stream(fresh=True), logs_of(home / "hand.sock")))
        where = str(VIP)
        _wait((where, HAND_WEB_PORT))
        yield (
            Proxy("by hand", hand.pid, (where, HAND_WEB_PORT), (where, HAND_BYTES_PORT)),
            Proxy("Willis", worker or 0, (where, WEB_PORT), (where, BYTES_PORT)),
        )
    finally:
        engine.stop()
        for process in processes:
            process.kill()
            process.wait()
        shutil.rmtree(home)


def serve(engine: HaproxyEngine, config: Config) -> str:
    """Converge as the loop does; the configuration's text."""
    want = engine.compile(config, up(config))
    engine.check(want)
    engine.apply(diff(engine.name, engine.observe(), want))
    return str(want[CONFIG])


def up(config: Config) -> Status:
    """Every server answers."""
    return Status(health={target: Health(Verdict.UP) for target in targets(config)})


def site() -> Config:
    """An HTTP service and a TCP service that ask for nothing special."""
    return Config(
        site="bench",
        hosts=tuple(Host(name, address) for name, address in _SERVERS.items()),
        services=(
            service("Web", WEB_PORT, Application.HTTP),
            service("Bytes", BYTES_PORT, Application.GENERIC),
        ),
    )


def service(name: str, port: int, application: Application, vip: IPv4Address = VIP) -> VirtualService:
    return VirtualService(
        name,
        vip,
        (port,),
        Forwarding.PROXY,
        Check(),
        tuple(RealServer(host, address) for host, address in _SERVERS.items()),
        application=application,
        scheduler=Scheduler.WLC,
    )


def _answers() -> str:
    binds = "\n".join(f"    bind {address}:{WEB_PORT}" for address in _SERVERS.values())
    return _ANSWERS.format(binds=binds, body="x" * 1024)


def _zeros() -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", _ZEROS, str(BYTES_PORT), *map(str, _SERVERS.values())]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    if process.stdout is None or process.stdout.readline() != b"ready\n":
        raise Unable("The server of zeros does not start.")
    return process


def logs_of(path: Path) -> socket.socket:
    """The access log of the process behind a runtime socket, as an engine follows it."""
    return Runtime(path).stream(log.follow(fresh=True))


def read_logs(*wires: socket.socket) -> subprocess.Popen[bytes]:
    """Reads the logs and forgets them."""
    for wire in wires:
        wire.setblocking(True)
    numbers = [wire.fileno() for wire in wires]
    process = subprocess.Popen([sys.executable, "-c", _READER, *map(str, numbers)], pass_fds=numbers)
    for wire in wires:
        wire.close()
    return process


def _hand(home: Path, generated: str) -> str:
    """With the generated configuration's own logging, so that what is compared is the rest."""
    ring = re.search(r"^ring .*\n(?: .*\n)+", generated, re.MULTILINE)
    web, tcp = (
        "\n".join(re.findall(r"^    (?:log |log-format|error-log-format).*$", section, re.MULTILINE))
        for section in (_section(generated, "Web"), _section(generated, "Bytes"))
    )
    return _HAND.format(
        home=home,
        ring=ring[0] if ring else "",
        vip=VIP,
        web=HAND_WEB_PORT,
        bytes=HAND_BYTES_PORT,
        http_log=web,
        tcp_log=tcp,
        web_servers="\n".join(f"    server {n} {a}:{WEB_PORT}" for n, a in _SERVERS.items()),
        bytes_servers="\n".join(f"    server {n} {a}:{BYTES_PORT}" for n, a in _SERVERS.items()),
    )


def _section(text: str, name: str) -> str:
    found = re.search(rf"^frontend {name} .*\n(?: .*\n)+", text, re.MULTILINE)
    return found[0] if found else ""


def start(haproxy: str, file: Path, text: str) -> subprocess.Popen[bytes]:
    """A HAProxy with this configuration, in the file's directory."""
    file.write_text(text)
    process = subprocess.Popen(
        [haproxy, "-db", "-f", str(file)],
        cwd=file.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # As the engine starts its own: the scheduler shares time among sessions (sched(7), autogroup).
        start_new_session=True,
    )
    time.sleep(0.1)
    if process.poll() is not None:
        raise Unable(f"HAProxy does not start with {file.name}.")
    return process


def _wait(where: tuple[str, int]) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(where, timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise Unable(f"Nobody listens on {where[0]}:{where[1]}.") from None
            time.sleep(0.02)
        else:
            return
