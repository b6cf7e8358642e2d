"""Golden configurations: what the compiler writes, byte for byte, and what the real binary says of it.

``python -m tests.unit.engines.haproxy.test_haproxy_golden`` writes them anew; read the diff.
"""

from __future__ import annotations

import subprocess
from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from tests.builders import dr, server, site, web
from tests.pki import Root, pem
from tests.unit.engines.haproxy.cases import dicom, http, limits, tls, transparent
from willis.certificates.store import CertificateStore
from willis.engines.haproxy import maps, script
from willis.engines.haproxy.compile import CONFIG, HaproxyFiles, compile_l7
from willis.engines.haproxy.process import binary
from willis.engines.haproxy.state import ServerState, state_file
from willis.engines.port import EngineError
from willis.model.config import Config
from willis.model.persistence import SourcePersistence
from willis.model.service import Application, Forwarding, Protocol, RealServer, Scheduler
from willis.model.status import Health, Status, Verdict
from willis.plan.diff import Artefacts
from willis.plan.members import targets

GOLDEN = Path(__file__).parents[3] / "golden" / "haproxy"
FILES = replace(
    HaproxyFiles.under(Path("/run/willis"), Path("/var/lib/willis")),
    dicom_lua="/var/lib/willis/dicom.lua",
    hl7_lua="/var/lib/willis/hl7.lua",
    holdings=tls.HOLDINGS,
)


def proxied(name: str, vip: int, port: int, **changes: object):
    return dr(name, vip, port, forwarding=Forwarding.PROXY, **changes)


def v6(number: int) -> IPv6Address:
    return IPv6Address(f"2001:db8::{number}")


CASES: dict[str, tuple[Config, dict[str, bool]]] = {
    "http-cookie": (site(web()), {}),
    "http-cookie-fallback": (site(web(scheduler=Scheduler.WRR, fallback=server(3, port=8080))), {}),
    "http-source": (
        site(
            proxied(
                "MINT", 115, 8089, application=Application.MINT, persistence=SourcePersistence(900, mask=24)
            )
        ),
        {},
    ),
    "tcp": (
        site(
            proxied("Dicom", 116, 11112, fallback=server(4)),
            proxied("Hl7", 117, 2398, application=Application.HL7, persistence=None, scheduler=Scheduler.SH),
        ),
        {},
    ),
    "several-ports": (site(proxied("Many", 116, 104, ports=(104, 11112), scheduler=Scheduler.MH)), {}),
    "port-translation": (site(web(pool=(server(1, port=18237), server(2)))), {}),
    "ipv6": (
        site(
            replace(
                web(pool=(RealServer("vna1", v6(11)),), persistence=SourcePersistence(300, mask=64)),
                vip=v6(1),
            )
        ),
        {},
    ),
    "light-twin": (
        site(dr(), dr("Syslog", 103, 514, protocol=Protocol.UDP, persistence=None), web()),
        {"layer4": True, "transparent": False},
    ),
    **dicom.CASES,
    **http.CASES,
    **limits.CASES,
    **tls.CASES,
    **transparent.CASES,
}


def compiled(case: str, files: HaproxyFiles = FILES) -> Artefacts:
    config, options = CASES[case]
    status = Status(health={target: Health(Verdict.UP) for target in targets(config)})
    return compile_l7(config, status, files=files, **options)


@pytest.mark.parametrize("case", CASES)
def test_the_text_is_as_agreed(case: str) -> None:
    assert compiled(case)[CONFIG] == (GOLDEN / case / "haproxy.cfg").read_text()


def files_in(folder: Path) -> HaproxyFiles:
    """All that a configuration may name, in ``folder``."""
    files = replace(
        FILES,
        server_state=str(folder / "servers"),
        maps=str(folder),
        tls=str(folder / "certificates"),
        dicom_lua=str(folder / "dicom.lua"),
        hl7_lua=str(folder / "hl7.lua"),
    )
    Path(files.dicom_lua).write_text(script.DICOM.text)
    Path(files.hl7_lua).write_text(script.HL7.text)
    store, root = CertificateStore(Path(files.tls)), Root("Golden")
    for name, _ in tls.HOLDINGS.certificates:
        store.put(name, root.issue(f"{name}.example").pem_with_key)
    for name, _ in tls.HOLDINGS.authorities:
        store.put_authority(name, pem(root.certificate))
    return files


def judged(found: Artefacts, files: HaproxyFiles) -> subprocess.CompletedProcess[str]:
    """What the real binary says of it."""
    try:
        argv = [binary(), "-dW", "-c", "-f"]
    except EngineError as error:
        pytest.skip(str(error))
    folder = Path(files.maps)
    states = {key: state for key, state in found.items() if isinstance(state, ServerState)}
    Path(files.server_state).write_text(state_file(states))
    for key, held in found.items():
        if key.startswith("map/") and isinstance(held, tuple):
            (folder / f"{key.removeprefix('map/')}.map").write_text(maps.file_text(held))
    config = folder / "haproxy.cfg"
    config.write_text(f"{found[CONFIG]}\n")
    return subprocess.run([*argv, str(config)], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("case", CASES)
def test_the_real_binary_accepts_it_without_a_warning(case: str, tmp_path: Path) -> None:
    files = files_in(tmp_path)
    done = judged(compiled(case, files), files)
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    for name in CASES:
        (GOLDEN / name).mkdir(parents=True, exist_ok=True)
        (GOLDEN / name / "haproxy.cfg").write_text(str(compiled(name)[CONFIG]))
