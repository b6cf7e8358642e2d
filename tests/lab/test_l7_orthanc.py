"""Layer 7, an archive that ties AE titles to addresses: Orthanc's own check, with and without transparent."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.lab.nat_net import CLIENT, LAB, PORT, VIP, NatNet, converge, nat, site, started, up
from tests.lab.proxy import eventually
from willis.engines.haproxy.driver import HaproxyEngine
from willis.engines.routes.driver import RoutesEngine
from willis.lab import data
from willis.model.service import Application, Forwarding

pytestmark = [
    *LAB,
    pytest.mark.skipif(
        not all(map(shutil.which, ("Orthanc", "storescu", "haproxy"))),
        reason="Orthanc, dcmtk or haproxy is not installed",
    ),
]

_ORTHANC = 4242
_REST = 8042


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
            with urllib.request.urlopen(f"http://127.0.0.1:{_REST}{path}", timeout=10) as answer:
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


@pytest.fixture
def engines(net: NatNet, tmp_path: Path) -> Iterator[tuple[Any, Any]]:
    haproxy = net.node.call(HaproxyEngine, tmp_path, tmp_path)
    yield net.node.call(RoutesEngine), haproxy
    net.node.call(haproxy.stop)


def test_the_client_is_known_by_its_address_only_if_the_proxy_is_transparent(
    net: NatNet, archive: Archive, engines: tuple[Any, Any]
) -> None:
    files = list(map(str, data.mr()))

    def send(title: str) -> str:
        """What storescu says; nothing if all was stored."""
        words = ["storescu", "-to", "10", "-aet", title, "-aec", "ORTHANC", VIP, str(PORT), *files]
        done = net.client.call(
            lambda: subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        )
        return "" if done.returncode == 0 else str(done.stderr)

    for transparent in (False, True):
        plain = nat(forwarding=Forwarding.PROXY, application=Application.DICOM, address="10.78.2.11")
        pool = tuple(replace(server, port=_ORTHANC) for server in plain.pool)
        config = site(replace(plain, pool=pool, transparent=transparent))
        for engine in engines:
            net.node.call(converge, engine, config, up(config))
        refused = send("CT1")
        assert ("Calling AE Title Not Recognized" in refused) is not transparent
        assert not (transparent and refused)
        assert "Calling AE Title Not Recognized" in send("MR1"), "the check is real"
    assert list(archive.instances().values()) == [CLIENT] * len(files)
