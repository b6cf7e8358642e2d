"""Layer 7, DICOM over a network of hosts: what needs addresses, routes and rights of its own.

Orthanc that ties AE titles to addresses, with and without a transparent source. Large
studies, which arrive whole; the route of each server is quick, else dcmtk's servers
wait 40 ms after each image.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.lab.nat_net import CLIENT, LAB, PORT, VIP, NatNet, converge, nat, site, started, up
from tests.lab.proxy import eventually
from willis.engines.haproxy.driver import HaproxyEngine
from willis.engines.haproxy.process import since_3_0
from willis.engines.haproxy.runtime import Master
from willis.engines.routes.driver import RoutesEngine
from willis.lab import data
from willis.model.service import Application, Forwarding

STORESCU = shutil.which("storescu", path="/usr/bin:/usr/local/bin")
"""dcmtk's: pynetdicom has one of this name too."""

pytestmark = [
    *LAB,
    pytest.mark.skipif(
        None in (STORESCU, *map(shutil.which, ("Orthanc", "storescp", "haproxy"))),
        reason="Orthanc, dcmtk or haproxy is not installed",
    ),
]

_ORTHANC = 4242
_REST = 8042
_STORE = 4243


class Archive:
    """An Orthanc on s1 that knows CT1 at the client's own address, and nobody else."""

    def __init__(self, net: NatNet, home: Path) -> None:
        self._space = net.servers["s1"]
        settings = {
            "Name": "Checked",
            "StorageDirectory": str(home),
            "IndexDirectory": str(home),
            "DicomPort": _ORTHANC,
            "HttpPort": _REST,
            "DicomCheckModalityHost": True,
            "DicomAlwaysAllowStore": False,
            "DicomAlwaysAllowEcho": False,
            "DicomModalities": {"ct1": ["CT1", CLIENT, 104]},
        }
        file = home / "orthanc.json"
        file.write_text(json.dumps(settings))
        self._process = self._space.start("Orthanc", str(file), stderr=subprocess.DEVNULL)
        eventually(self._answers)

    def instances(self) -> dict[str, str]:
        """The address that Orthanc kept with each instance."""
        return {
            uid: self._rest(f"/instances/{uid}/metadata/RemoteIP")
            for uid in json.loads(self._rest("/instances"))
        }

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        assert self._process.poll() is None
        try:
            return bool(self._rest("/system"))
        except OSError:
            return False

    def _rest(self, path: str) -> str:
        def ask() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{_REST}{path}", timeout=30) as answer:
                return str(answer.read().decode())

        return str(self._space.call(ask))


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatNet]:
    with started(tmp_path_factory.mktemp("net")) as found:
        yield found


@pytest.fixture
def archive(net: NatNet, tmp_path: Path) -> Iterator[Archive]:
    home = tmp_path / "orthanc"
    home.mkdir()
    found = Archive(net, home)
    yield found
    found.close()


def serve(net: NatNet, engines: tuple[Any, Any], port: int, **changes: Any) -> None:
    """A DICOM service over s1 alone."""
    plain = nat(forwarding=Forwarding.PROXY, application=Application.DICOM, address="10.78.2.11", port=port)
    config = site(replace(plain, **changes))
    for engine in engines:
        net.node.call(converge, engine, config, up(config))


def send(net: NatNet, title: str, files: list[Path]) -> str:
    """What storescu says; nothing if all was stored."""
    words = [STORESCU, "--required", "-to", "60", "-aet", title, "-aec", "ORTHANC", VIP, str(PORT)]
    words += map(str, files)
    done = net.client.call(
        lambda: subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    )
    return "" if done.returncode == 0 else str(done.stderr)


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """Short enough for unix sockets."""
    with tempfile.TemporaryDirectory(prefix="willis-hx-") as found:
        yield Path(found)


@pytest.fixture
def engines(net: NatNet, run_dir: Path) -> Iterator[tuple[Any, Any]]:
    haproxy = net.node.call(HaproxyEngine, run_dir, run_dir)
    yield net.node.call(RoutesEngine), haproxy
    net.node.call(haproxy.stop)


def test_the_client_is_known_by_its_address_only_if_the_proxy_is_transparent(
    net: NatNet, archive: Archive, engines: tuple[Any, Any]
) -> None:
    files = data.mr()
    for transparent in (False, True):
        serve(net, engines, _ORTHANC, transparent=transparent)
        refused = send(net, "CT1", files)
        assert ("Calling AE Title Not Recognized" in refused) is not transparent
        assert not (transparent and refused)
        assert "Calling AE Title Not Recognized" in send(net, "MR1", files), "the check is real"
    assert list(archive.instances().values()) == [CLIENT] * len(files)


_NET_RAW = 13
_BOUND = {0, 3, 5, 6, 7, 10, _NET_RAW, 18}
"""What decision 9 leaves to workers of root, as the numbers of linux/capability.h."""


@pytest.mark.parametrize("transparent", [False, True], ids=["own address", "transparent"])
def test_workers_keep_what_they_must(
    net: NatNet, engines: tuple[Any, Any], run_dir: Path, transparent: bool
) -> None:
    serve(net, engines, _ORTHANC, transparent=not transparent)
    serve(net, engines, _ORTHANC, transparent=transparent)
    worker = Master(run_dir / "haproxy-master.sock").workers().current
    lines = Path(f"/proc/{worker}/status").read_text().splitlines()
    told = dict(line.split(":", 1) for line in lines)
    kept = {n for n in range(64) if int(told["CapEff"], 16) >> n & 1}
    if not transparent:
        assert kept == set()
    elif since_3_0():
        assert kept == {_NET_RAW}
    else:
        assert _NET_RAW in kept
        assert kept <= _BOUND
    # HAProxy before 3.0 cannot give up root and keep a capability.
    assert (told["Uid"].split()[0] == "0") is (transparent and not since_3_0())


@pytest.fixture
def store(net: NatNet, tmp_path: Path) -> Iterator[Path]:
    """Where a storescp on s1 keeps what it gets; gone afterwards, being large."""
    where = tmp_path / "store"
    where.mkdir()
    argv = ["storescp", "--promiscuous", "--disable-host-lookup"]
    argv += ["--output-directory", str(where), str(_STORE)]
    process = net.servers["s1"].start(*argv, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: bool(net.servers["s1"].call(_accepts)))
        yield where
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(where)


def _accepts() -> bool:
    try:
        socket.create_connection(("10.78.2.11", _STORE), 5).close()
    except OSError:
        return False
    return True


STUDIES: dict[str, tuple[Callable[[], list[Path]], bool]] = {
    "500 CT slices, own address": (data.ct, False),
    "one tomosynthesis of 493 MB, transparent": (data.tomosynthesis, True),
}


@pytest.mark.parametrize("study", STUDIES)
def test_large_studies_arrive_whole_in_one_association(
    net: NatNet, engines: tuple[Any, Any], store: Path, study: str
) -> None:
    make, transparent = STUDIES[study]
    sent = make()
    serve(net, engines, _STORE, transparent=transparent)
    assert send(net, "CT1", sent) == ""
    assert pixels(store.iterdir()) == pixels(sent)


def pixels(files: Iterable[Path]) -> dict[str, str]:
    """The digest of each object's pixels by the object's UID."""
    return {dcmread(file, stop_before_pixels=True).SOPInstanceUID: data.digest(file) for file in files}
