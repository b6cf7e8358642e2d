"""The full twin's ground: a network that carries packets, and a teardown that leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.drill import wait_until
from tests.unit.lab.samples import DOCUMENT
from willis.lab import build, control, data, evidence, netns, probe
from willis.lab.errors import LabError
from willis.lab.twin import Twin, plan

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", autouse=True)
def ground() -> None:
    lacking = probe.missing_for_full()
    if lacking:
        pytest.skip(f"no full twin can be built here; missing: {'; '.join(lacking)}")


@pytest.fixture
def base(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Short: unix sockets live below it."""
    found = tmp_path_factory.mktemp("t")
    monkeypatch.setenv("WILLIS_LAB_DIR", str(found))
    return found


@pytest.fixture
def name(base: Path) -> Iterator[str]:
    found = f"g{os.getpid()}"
    yield found
    build.down(found)


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    """Clients, network and hosts; the node stands bare."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WILLIS_LAB_DIR", str(tmp_path_factory.mktemp("t")))
        patch.setenv("WILLIS_LAB_DATA", str(tmp_path_factory.mktemp("data")))
        bare = plan(f"b{os.getpid()}", DOCUMENT, light=False)
        build.up(bare, with_engine=False)
        yield bare
        build.down(bare.name)


def run(twin: Twin, machine: str, *argv: str, stdin: str = "", check: bool = True) -> str:
    done = subprocess.run(
        [*twin.enter(machine), *argv],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env=twin.environment(machine),
        check=False,
    )
    assert not check or done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def acts(twin: Twin, since: evidence.Mark) -> list[tuple[str, str, str]]:
    found = (e for e in evidence.read(twin, since) if e.what != "connect")
    return [(e.host, e.client, e.what) for e in found]


def leftovers(name: str, base: Path) -> dict[str, list[str]]:
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(base) in line]
    marks = []
    for entry in Path("/proc").iterdir():
        try:
            environment = (entry / "environ").read_bytes() if entry.name.isdigit() else b""
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if f"WILLIS_TWIN={base / name}".encode() in environment.split(b"\0"):
            marks.append(entry.name)
    return {
        "namespaces": [str(path) for path in netns.namespaces(name).values()],
        "mounts": mounts,
        "processes": marks,
        "files": [path.name for path in base.iterdir()] if base.exists() else [],
    }


NOTHING: dict[str, list[str]] = {"namespaces": [], "mounts": [], "processes": [], "files": []}


def test_dcmtk_reaches_a_host_which_sees_the_client_itself(twin: Twin) -> None:
    since = evidence.mark(twin)
    files = data.mr(0, 2)
    run(twin, "client1", "echoscu", "10.60.0.11", "11112")
    run(twin, "client2", "storescu", "10.60.0.11", "11112", *map(str, files))
    assert acts(twin, since) == [
        ("vna1", "198.51.100.10", "C-ECHO"),
        ("vna1", "203.0.113.10", "C-STORE"),
        ("vna1", "203.0.113.10", "C-STORE"),
    ]
    stored = [e.more["digest"] for e in evidence.read(twin, since) if e.what == "C-STORE"]
    assert stored == [data.digest(path) for path in files]


def test_a_datagram_is_echoed_after_the_hosts_name(twin: Twin) -> None:
    since = evidence.mark(twin)
    sender = (sys.executable, "-m", "willis.lab.sender", "udp", "10.60.0.11", "9123")
    assert run(twin, "client2", *sender, stdin="who") == "vna1 who\n"
    assert acts(twin, since) == [("vna1", "203.0.113.10", "datagram")]


def test_a_client_can_be_many(twin: Twin) -> None:
    since = evidence.mark(twin)
    sources = [f"198.51.100.{number}" for number in range(10, 70)]
    for source in sources:
        run(twin, "client1", "curl", "-sf", "--interface", source, "http://10.60.0.11:8237/")
    assert [client for _, client, _ in acts(twin, since)] == sources


def test_a_host_behind_the_router_is_reached_too(twin: Twin) -> None:
    since = evidence.mark(twin)
    run(twin, "lb1", "curl", "-sf", "http://10.77.0.5:9237/")
    assert acts(twin, since) == [("far", "10.60.0.2", "GET /")]


def test_hosts_are_silent_about_the_vips_on_their_loopback(twin: Twin) -> None:
    run(twin, "client1", "curl", "-s", "--max-time", "2", "http://10.60.0.105:8080/studies", check=False)
    neighbours = run(twin, "net", "ip", "neighbour", "show", "10.60.0.105")
    assert "lladdr" not in neighbours


def test_a_vip_on_a_host_answers_whoever_sends_it_there(twin: Twin) -> None:
    """What the node does in DR, by hand: the host's MAC address under the VIP."""
    since = evidence.mark(twin)
    mac = _mac(twin, "vna2")
    bridge = twin.blueprint.lans[0].bridge
    run(twin, "net", "ip", "neighbour", "replace", "10.60.0.102", "lladdr", mac, "dev", bridge)
    try:
        run(twin, "client1", "echoscu", "10.60.0.102", "11112")
    finally:
        run(twin, "net", "ip", "neighbour", "delete", "10.60.0.102", "dev", bridge)
    entries = [e for e in evidence.read(twin, since) if e.what == "C-ECHO"]
    assert [(e.host, e.client, e.services) for e in entries] == [("vna2", "198.51.100.10", ("Internal",))]


def _mac(twin: Twin, machine: str) -> str:
    return run(twin, machine, "ip", "-brief", "link", "show", "eth0").split()[2]


def test_an_unplugged_host_is_gone_until_it_is_plugged_in(twin: Twin) -> None:
    control.unplug(twin, "vna1")
    try:
        assert "unplugged" in [m["state"] for m in control.status(twin)["machines"] if m["name"] == "vna1"]
        text = run(twin, "client1", "curl", "-s", "-m", "2", "http://10.60.0.11:8237/", check=False)
        assert "vna1" not in text
    finally:
        control.plug(twin, "vna1")
    run(twin, "client1", "curl", "-sf", "--retry", "5", "--retry-all-errors", "http://10.60.0.11:8237/")


def test_down_leaves_no_namespace_mount_process_or_file(name: str, base: Path) -> None:
    full = plan(name, DOCUMENT, light=False)
    build.up(full, with_engine=False)
    stray = subprocess.Popen([*full.enter("client1"), "sleep", "600"], env={"PATH": os.environ["PATH"]})
    control.freeze(full, "vna1", None)
    assert leftovers(name, base) != NOTHING
    assert build.down(name)
    assert stray.wait(timeout=60) != 0
    assert leftovers(name, base) == NOTHING
    assert not build.down(name)


def test_a_half_built_twin_without_its_files_is_taken_down(name: str, base: Path) -> None:
    full = plan(name, DOCUMENT, light=False)
    build.up(full, with_engine=False)
    (base / name / "twin.json").unlink()
    subprocess.run(["ip", "netns", "delete", netns.label(name, "client2")], check=True)
    assert build.down(name)
    assert leftovers(name, base) == NOTHING


def test_a_failure_on_the_way_up_leaves_nothing(
    name: str, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(where: Path) -> None:
        raise LabError("no bpffs today")

    monkeypatch.setattr(netns, "mount_bpf", refuse)
    with pytest.raises(LabError, match="no bpffs today"):
        build.up(plan(name, DOCUMENT, light=False), with_engine=False)
    assert leftovers(name, base) == NOTHING


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_up_leaves_nothing(
    name: str, base: Path, tmp_path: Path, number: signal.Signals
) -> None:
    document = tmp_path / "site.yaml"
    document.write_text(DOCUMENT)
    argv = [sys.executable, "-m", "willis", "lab", "up", "--name", name, str(document)]
    # Tests in the background are started with SIGINT ignored, and children would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(argv, env=os.environ | {"WILLIS_LAB_DIR": str(base)})
    wait_until(lambda: bool(netns.namespaces(name)), "the first namespace is there")
    process.send_signal(number)
    assert process.wait(timeout=60) != 0
    assert leftovers(name, base) == NOTHING


def test_two_twins_stand_side_by_side(name: str, base: Path, twin: Twin) -> None:
    other = plan(name, DOCUMENT, light=False)
    build.up(other, with_engine=False)
    try:
        since, here = evidence.mark(other), evidence.mark(twin)
        run(other, "client1", "echoscu", "10.60.0.11", "11112")
        assert len(acts(other, since)) == 1
        assert acts(twin, here) == []
    finally:
        build.down(name)
    run(twin, "client1", "echoscu", "10.60.0.11", "11112")
