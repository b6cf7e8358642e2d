"""Layer 7, DICOM with peers of others: Orthanc, dcmqrscp, wlmscpfs and pynetdicom behind one VIP.

The called AE title leads to each of them, and what they answer arrives: queries, objects
over a second association (C-MOVE) and over the same one (C-GET).
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.lab.proxy import PORT, Proxy, address, eventually, local_site, service
from tests.ports import free_port
from willis.lab import data
from willis.model.config import Config
from willis.model.proxy import Dicom, TitleRoute
from willis.model.service import Application, RealServer

pynetdicom = pytest.importorskip("pynetdicom")

_TOOLS = (
    "Orthanc",
    "dcmqrscp",
    "wlmscpfs",
    "storescp",
    "storescu",
    "findscu",
    "getscu",
    "movescu",
    "echoscu",
)
_FOUND = {tool: shutil.which(tool, path="/usr/bin:/usr/sbin:/usr/local/bin") for tool in _TOOLS}
"""Not by the PATH: pynetdicom has tools of these names too, and dcmtk's are meant."""
_ABSENT = [tool for tool, found in _FOUND.items() if found is None]

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(_ABSENT), reason=f"not installed: {', '.join(_ABSENT)}"),
]

VIP = str(address(101))
HOME = str(address(9))
"""Where the client receives what it asked to have moved."""


@dataclass
class Peers:
    """The ports of the servers, and of the storage of the client that asks them to move."""

    base: Path
    stack: ExitStack
    orthanc: int = 0
    rest: int = 0
    archive: int = 0
    worklist: int = 0
    own: int = 0
    client: int = 0
    moved: Path = Path()

    def start(self, port: int, *words: str | Path) -> None:
        """Run a server until the end of the module; it accepts when this returns."""
        argv = [str(_FOUND[str(words[0])]), *map(str, words[1:])]
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.base)
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        eventually(lambda: _accepts(port))


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((HOME, port), 5).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    with ExitStack() as stack:
        found = Peers(tmp_path_factory.mktemp("peers"), stack)
        found.moved = found.base / "moved"
        found.moved.mkdir()
        found.client = free_port()
        found.start(found.client, "storescp", "--output-directory", found.moved, str(found.client))
        for start in (_orthanc, _dcmqrscp, _wlmscpfs, _pynetdicom):
            start(found)
        yield found


def _orthanc(peers: Peers) -> None:
    peers.orthanc, peers.rest = free_port(), free_port()
    home = peers.base / "orthanc"
    home.mkdir()
    settings = {
        "StorageDirectory": str(home),
        "IndexDirectory": str(home),
        "DicomAet": "ORTHANC",
        "DicomCheckCalledAet": True,
        "DicomPort": peers.orthanc,
        "HttpPort": peers.rest,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowMove": True,
        "DicomModalities": {"home": ["HOME", HOME, peers.client]},
    }
    (home / "orthanc.json").write_text(json.dumps(settings))
    peers.start(peers.orthanc, "Orthanc", home / "orthanc.json")


def _dcmqrscp(peers: Peers) -> None:
    peers.archive = free_port()
    place = peers.base / "qr"
    place.mkdir()
    text = f"""\
MaxPDUSize = 16384
MaxAssociations = 16
HostTable BEGIN
home = (HOME, {HOME}, {peers.client})
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
QR {place} RW (200, 1024mb) ANY
AETable END
"""
    (peers.base / "qr.cfg").write_text(text)
    peers.start(peers.archive, "dcmqrscp", "--config", peers.base / "qr.cfg", str(peers.archive))


def _wlmscpfs(peers: Peers) -> None:
    """It chooses the directory of its items by the called AE title."""
    peers.worklist = free_port()
    place = peers.base / "wl" / "RIS"
    place.mkdir(parents=True)
    (place / "lockfile").touch()
    step = Dataset()
    step.Modality, step.ScheduledStationAETitle = "CT", "CT1"
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = "20260101", "080000"
    step.ScheduledPerformingPhysicianName, step.ScheduledProcedureStepDescription = "LAB^DOCTOR", "CT head"
    step.ScheduledProcedureStepID = "STEP1"
    for number in (1, 2):
        item = Dataset()
        item.PatientName, item.PatientID = f"LAB^{number}", f"LAB{number:04}"
        item.PatientBirthDate, item.PatientSex = "19700101", "O"
        item.AccessionNumber, item.StudyInstanceUID = f"ACC{number}", f"2.25.{number}"
        item.RequestedProcedureID, item.RequestedProcedureDescription = f"PROC{number}", "CT head"
        item.ScheduledProcedureStepSequence = [step]
        item.file_meta = FileMetaDataset()
        item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        item.file_meta.MediaStorageSOPClassUID = "1.2.276.0.7230010.3.1.0.1"
        item.file_meta.MediaStorageSOPInstanceUID = f"2.25.10{number}"
        dcmwrite(place / f"{number}.wl", item, enforce_file_format=True)
    peers.start(peers.worklist, "wlmscpfs", "--data-files-path", place.parent, str(peers.worklist))


def _pynetdicom(peers: Peers) -> None:
    peers.own = free_port()
    ae = pynetdicom.AE("OWN")
    ae.require_called_aet = True
    ae.supported_contexts = [
        *pynetdicom.StoragePresentationContexts[:100],
        *pynetdicom.VerificationPresentationContexts,
    ]
    ae.maximum_pdu_size = 0
    handlers = [(pynetdicom.evt.EVT_C_STORE, lambda _: 0x0000)]
    server = ae.start_server((str(address(1)), peers.own), block=False, evt_handlers=handlers)
    peers.stack.callback(server.shutdown)


@pytest.fixture
def routed(proxy: Proxy, peers: Peers) -> Peers:
    """OWN is the pool of the port's own service; three titles lead to the three others."""
    titles = {"ORTHANC": peers.orthanc, "QR": peers.archive, "RIS": peers.worklist}
    proxy.apply(_site(peers.own, titles))
    return peers


def _site(own: int, titles: dict[str, int]) -> Config:
    plain = service(application=Application.DICOM, persistence=None)
    pools = [
        replace(plain, name=title.title(), ports=(), pool=(RealServer("vna1", address(1), port),))
        for title, port in titles.items()
    ]
    routes = tuple(TitleRoute((title,), title.title()) for title in titles)
    wanted = Dicom(called=("OWN", *titles), routes=routes)
    front = replace(plain, name="Dicom", dicom=wanted, pool=(RealServer("vna1", address(1), own),))
    return local_site(front, *pools)


def ask(tool: str, called: str, *options: str | Path, files: list[Path] | None = None) -> None:
    """Have a tool of dcmtk ask a title at the VIP; it must succeed."""
    argv = [str(_FOUND[tool]), "-aet", "HOME", "-aec", called, "-ta", "30", *map(str, options)]
    argv += [VIP, str(PORT), *map(str, files or ())]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"


def found(called: str, where: Path, model: str, *keys: str) -> list[Dataset]:
    """What a C-FIND finds."""
    where.mkdir()
    ask("findscu", called, model, "--extract", "--output-directory", where, *_keys(keys))
    return [dcmread(file) for file in sorted(where.iterdir())]


def _keys(keys: tuple[str, ...]) -> list[str]:
    return [word for key in keys for word in ("-k", key)]


def pixels(files: Iterable[Path]) -> dict[str, str]:
    """The digest of each object's pixels by the object's UID."""
    return {dcmread(file, stop_before_pixels=True).SOPInstanceUID: data.digest(file) for file in files}


@pytest.mark.parametrize("called", ["ORTHANC", "QR"])
def test_an_archive_stores_finds_moves_and_gets(routed: Peers, tmp_path: Path, called: str) -> None:
    sent = data.mr(study=0 if called == "QR" else 1)
    study = str(dcmread(sent[0], stop_before_pixels=True).StudyInstanceUID)
    one = ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study}")
    ask("storescu", called, files=sent)
    (answer,) = found(called, tmp_path / "found", "-S", *one, "PatientName")
    assert answer.StudyInstanceUID == study
    assert str(answer.PatientName).startswith("LAB^MR")
    ask("movescu", called, "-S", "-aem", "HOME", *_keys(one))
    (tmp_path / "got").mkdir()
    ask("getscu", called, "-S", "--output-directory", tmp_path / "got", *_keys(one))
    moved = [file for file in routed.moved.iterdir() if dcmread(file).StudyInstanceUID == study]
    assert pixels(moved) == pixels((tmp_path / "got").iterdir()) == pixels(sent)


def test_a_worklist_answers(routed: Peers, tmp_path: Path) -> None:
    asked = ("ScheduledProcedureStepSequence[0].Modality=CT", "PatientID", "AccessionNumber")
    items = found("RIS", tmp_path / "items", "-W", *asked)
    assert sorted(item.AccessionNumber for item in items) == ["ACC1", "ACC2"]
    assert found("RIS", tmp_path / "none", "-W", "ScheduledProcedureStepSequence[0].Modality=MR") == []


def test_each_title_meets_its_own_server(routed: Peers) -> None:
    for title in ("OWN", "ORTHANC", "QR", "RIS"):
        ask("echoscu", title)
    ask("storescu", "OWN", files=data.mr())
    for port in (routed.own, routed.orthanc):
        assert not _takes_any_title(port), "they do look at titles"


def _takes_any_title(port: int) -> bool:
    """Whether a server, asked directly, takes an association for somebody else."""
    argv = [str(_FOUND["echoscu"]), "-aec", "NOBODY", str(address(1)), str(port)]
    return subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode == 0
