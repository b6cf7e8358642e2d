"""The data plane outlives the daemon: kill -9, adoption, half an apply, teardown, no root."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.lab.ebpf_net import LAB, OBJECT, SOURCES, VIP6, Net, echo, run, site, started, up
from willis.engines.ebpf import clsact
from willis.engines.ebpf.bpf import Map
from willis.engines.ebpf.driver import EbpfEngine
from willis.engines.port import EngineError
from willis.model.config import Config
from willis.model.persistence import SourcePersistence
from willis.model.service import Protocol, RealServer, Scheduler

pytestmark = LAB


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    with started(tmp_path) as net:
        yield net


def rich(*hosts: str) -> Config:
    """A site in which every kind of artefact occurs."""
    spare = RealServer("s3", ip_address("10.77.0.13"))
    return site(
        echo("One", hosts=hosts, weights=(100,) * len(hosts), persistence=SourcePersistence(60, 24)),
        echo("Two", VIP6, hosts=hosts, scheduler=Scheduler.WRR),
        echo(
            "Three",
            protocol=Protocol.UDP,
            ports=(1, 2, 3),
            hosts=hosts,
            scheduler=Scheduler.MH,
            fallback=spare,
        ),
    )


class Load:
    """Long and short connections until stopped; every failure is kept."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self._stop = threading.Event()
        self.failures: list[Exception] = []
        self.short = 0
        self.long = [net.connect(source) for source in SOURCES[:20]]
        self._threads = [threading.Thread(target=each) for each in (self._talk, self._connect, self._connect)]
        for thread in self._threads:
            thread.start()

    def _repeat(self, step: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                step()
            except (OSError, ValueError, AssertionError) as error:
                self.failures.append(error)
                return

    def _talk(self) -> None:
        def step() -> None:
            for talk in self.long:
                assert talk.say() == talk.server

        self._repeat(step)

    def _connect(self) -> None:
        def step() -> None:
            self._net.connect(SOURCES[30]).close()
            self.short += 1

        self._repeat(step)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert not self.failures
        assert all(talk.say() == talk.server for talk in self.long)


_DAEMON = """
import sys
from pathlib import Path
from tests.lab.ebpf_net import apply, echo, site, up
from willis.engines.ebpf.driver import EbpfEngine
engine = EbpfEngine(Path(sys.argv[1]), Path(sys.argv[2]))
print("ready", flush=True)
while True:
    for weights in ((100, 100, 100), (100, 50, 100)):
        config = site(echo("Load", weights=weights))
        apply(engine, config, up(config))
        engine.refresh()
"""


def test_kill_nine_adoption_and_swaps_under_load_break_nothing(net: Net) -> None:
    config = site(echo("Load"))
    net.apply(config)
    net.engine.close()
    load = Load(net)
    try:
        for _ in range(3):
            daemon = net.node.start(
                sys.executable, "-c", _DAEMON, str(net.pins), str(OBJECT),
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            )  # fmt: skip
            assert daemon.stdout is not None
            assert daemon.stdout.readline() == "ready\n"
            before = load.short
            deadline = time.monotonic() + 30
            while load.short < before + 100 and time.monotonic() < deadline and not load.failures:
                time.sleep(0.05)
            daemon.kill()
            daemon.wait()
        net.start()
        net.apply(config)
        net.apply(site(echo("Load", hosts=("s1", "s2"))))
    finally:
        load.stop()
    assert load.short > 300


def test_a_restarted_engine_sees_no_difference_and_changes_nothing(net: Net) -> None:
    config = rich("s1", "s2", "s3")
    net.apply(config)
    first = net.node.call(net.engine.observe)
    assert first == net.engine.compile(config, up(config))
    net.engine.close()
    net.start()
    assert net.node.call(net.engine.observe) == first


def test_there_and_back_restores_the_exact_state(net: Net) -> None:
    one, two = rich("s1", "s2", "s3"), rich("s3", "s1")
    net.apply(one)
    before = net.node.call(net.engine.observe)
    for config in (two, site(), one):
        net.apply(config)
        assert net.node.call(net.engine.observe) == net.engine.compile(config, up(config))
    assert net.node.call(net.engine.observe) == before


class Cut(Exception):
    """The daemon died here."""


@pytest.mark.parametrize("way", ["grow", "shrink", "vanish"])
def test_half_an_apply_heals(net: Net, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    one, two = rich("s1"), rich("s3", "s1", "s2")
    have, want = {"grow": (one, two), "shrink": (two, one), "vanish": (two, site())}[way]
    for allowed in range(1000):
        net.apply(have)
        whole = is_whole(net, want, monkeypatch, allowed)
        net.engine.close()
        net.start()
        net.apply(want)
        assert net.node.call(net.engine.observe) == net.engine.compile(want, up(want)), f"cut after {allowed}"
        if whole:
            break
    assert allowed > 5


def is_whole(net: Net, want: Config, monkeypatch: pytest.MonkeyPatch, allowed: int) -> bool:
    """Applies with so many map writes; whether that was enough."""
    with monkeypatch.context() as patch:
        cut_after(patch, allowed)
        try:
            net.apply(want)
        except Cut:
            return False
    return True


def cut_after(patch: pytest.MonkeyPatch, allowed: int) -> None:
    """Lets so many map writes through, then none."""
    counter = [0]
    for name in ("update", "delete", "update_batch"):
        original = getattr(Map, name)

        def limited(self, *arguments, original=original):
            if counter[0] >= allowed:
                raise Cut
            counter[0] += 1
            return original(self, *arguments)

        patch.setattr(Map, name, limited)


def test_unload_leaves_nothing_pinned_or_attached(net: Net) -> None:
    net.apply(rich("s1", "s2", "s3"))
    assert net.connect().say()
    assert list(net.pins.rglob("eth0"))
    net.node.call(net.engine.unload)
    kernels_own = {net.pins / "maps.debug", net.pins / "progs.debug"}
    assert set(net.pins.iterdir()) <= kernels_own
    with pytest.raises(ConnectionRefusedError):
        net.connect()
    assert "managed" not in net.node.do("ip", "neighbour")


def test_a_device_that_vanished_and_returned_is_attached_again(net: Net) -> None:
    config = site(echo("Back"))
    net.apply(config)
    net.node.ip("link del eth0")
    net.refresh()
    assert "attach/eth0" not in net.node.call(net.engine.observe)
    with pytest.raises(EngineError, match="none of that name"):
        net.apply(config)
    net.bridge.ip(f"link add lb type veth peer name eth0 netns {net.node.name}", "link set lb master br0 up")
    net.node.ip(
        "address add 10.77.0.2/24 dev eth0", "address add 10.77.0.200/32 dev eth0", "link set eth0 up"
    )
    net.client.ip("neighbour flush dev eth0")
    net.apply_resolved(config)
    assert net.connect().say()


def test_kernels_before_tcx_use_clsact(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clsact, "has_tcx", lambda: False)
    net.node.call(net.engine.unload)
    net.start()
    config = rich("s1", "s2", "s3")
    net.apply(config)
    talk = net.connect()
    assert talk.say() == talk.server
    assert "willis_l4" in net.node.do("tc", "filter", "show", "dev", "eth0", "ingress")
    net.engine.close()
    net.start()
    assert net.node.call(net.engine.observe) == net.engine.compile(config, up(config))
    assert talk.say() == talk.server
    assert net.node.do("tc", "filter", "show", "dev", "eth0", "ingress").count("willis_l4") == 1
    net.node.call(net.engine.unload)
    assert "willis_l4" not in net.node.do("tc", "filter", "show", "dev", "eth0", "ingress")


_UNPRIVILEGED = """
import sys
from pathlib import Path
from tests.lab.ebpf_net import apply, echo, site, up
from willis.engines.ebpf.driver import EbpfEngine
from willis.engines.port import EngineError
import os
assert os.geteuid() != 0
try:
    engine = EbpfEngine(Path(sys.argv[1]), Path(sys.argv[2]))
except EngineError as error:
    sys.exit(str(error))
config = site(echo("User"))
apply(engine, config, up(config))
engine.refresh()
assert engine.observe() == engine.compile(config, up(config))
engine.traffic()
"""


def as_nobody(net: Net, *capabilities: str) -> tuple[int, str]:
    """Runs an engine without root: its exit code and what it said."""
    nobody = ["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-c", "import willis"]
    if subprocess.run(nobody, check=False, capture_output=True, timeout=60).returncode:
        pytest.skip("this source tree cannot be read by an ordinary user")
    names = ",".join(f"+{name}" for name in capabilities)
    done = subprocess.run(
        ["nsenter", f"--net={net.node.path}", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
         f"--inh-caps=-all,{names}", f"--ambient-caps=-all,{names}", f"--bounding-set=-all,{names}",
         sys.executable, "-c", _UNPRIVILEGED, str(net.pins), str(OBJECT)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONDONTWRITEBYTECODE": "1"},
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.fixture
def open_net() -> Iterator[Net]:
    """A network whose bpffs anybody can reach and nobody owns."""
    with tempfile.TemporaryDirectory(prefix="willis-l4-") as directory, started(Path(directory)) as net:
        net.node.call(net.engine.unload)
        run("chown", "65534", str(net.pins))
        run("chmod", "0755", directory)
        yield net


def test_no_root_is_needed(open_net: Net) -> None:
    net = open_net
    code, said = as_nobody(net, "bpf", "net_admin", "perfmon")
    assert (code, said) == (0, "")
    assert net.connect().say()


def test_a_missing_capability_is_named(open_net: Net) -> None:
    code, said = as_nobody(open_net, "net_admin")
    assert code == 1
    assert "CAP_BPF" in said


def test_what_is_missing_is_said(net: Net, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="make -C bpf"):
        EbpfEngine(net.pins / "other", tmp_path / "nothing.o")
    with pytest.raises(EngineError, match="mount -t bpf"):
        EbpfEngine(tmp_path / "plain", OBJECT)
    config = site(echo())
    want = {**net.engine.compile(config, up(config))}
    want["attach/eth7"] = want.pop("attach/eth0")
    with pytest.raises(EngineError, match="eth7"):
        net.node.call(net.engine.check, want)
