"""The light twin's hosts on loopback: real listeners, real clients, and ledgers that tell. No root needed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import ModalityWorklistInformationFind, MRImageStorage, Verification

from tests.unit.lab.samples import DOCUMENT
from willis.lab import build, control, data, evidence, source
from willis.lab.errors import LabError
from willis.lab.evidence import Entry
from willis.lab.twin import Twin, load, plan

pytestmark = pytest.mark.lab


@pytest.fixture
def base(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Short: unix sockets live below it."""
    found = tmp_path_factory.mktemp("t")
    monkeypatch.setenv("WILLIS_LAB_DIR", str(found))
    return found


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    """Hosts without a node: their listeners are what is tested here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WILLIS_LAB_DIR", str(tmp_path_factory.mktemp("t")))
        patch.setenv("WILLIS_LAB_DATA", str(tmp_path_factory.mktemp("data")))
        light = plan("light", source.on_loopback(DOCUMENT), light=True)
        build.up(light, with_engine=False)
        yield light
        build.down("light")


def rip(twin: Twin, host: str) -> str:
    machine = twin.blueprint.machine(host)
    assert machine is not None
    return str(machine.addresses[0])


def acts(twin: Twin, since: evidence.Mark) -> list[Entry]:
    return [entry for entry in evidence.read(twin, since) if entry.what != "connect"]


def send(kind: str, host: str, port: int, text: str) -> str:
    argv = [sys.executable, "-m", "willis.lab.sender", kind, host, str(port)]
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=30, check=True)
    return done.stdout


def test_dicom_instances_are_told_by_the_digest_of_their_pixels(twin: Twin) -> None:
    since = evidence.mark(twin)
    files = data.mr(0, 2)
    ae = AE()
    ae.add_requested_context(Verification)
    ae.add_requested_context(MRImageStorage, "1.2.840.10008.1.2.1")
    association = ae.associate(rip(twin, "vna1"), 11112)
    assert association.is_established
    assert association.send_c_echo().Status == 0
    assert all(association.send_c_store(dcmread(path)).Status == 0 for path in files)
    association.release()
    found = acts(twin, since)
    assert [(e.host, e.services, e.what) for e in found] == [
        ("vna1", ("Routing", "Internal"), "C-ECHO"),
        ("vna1", ("Routing", "Internal"), "C-STORE"),
        ("vna1", ("Routing", "Internal"), "C-STORE"),
    ]
    assert [e.more["digest"] for e in found[1:]] == [data.digest(path) for path in files]


def test_the_worklist_answers_two_items_that_name_the_host(twin: Twin) -> None:
    since = evidence.mark(twin)
    ae = AE()
    ae.add_requested_context(ModalityWorklistInformationFind)
    association = ae.associate(rip(twin, "vna2"), 4106)
    query = Dataset()
    query.PatientName = ""
    answers = list(association.send_c_find(query, ModalityWorklistInformationFind))
    association.release()
    items = [item for _, item in answers if item is not None]
    assert [str(item.PatientName) for item in items] == ["LAB^ONE", "LAB^TWO"]
    assert items[0].ScheduledProcedureStepSequence[0].ScheduledStationName == "vna2"
    assert [(e.host, e.services, e.what) for e in acts(twin, since)] == [("vna2", ("Worklist",), "C-FIND")]


def test_each_hl7_message_is_in_the_ledger_and_acknowledged(twin: Twin) -> None:
    since = evidence.mark(twin)
    answer = send("mllp", rip(twin, "vna1"), 2398, "".join(data.hl7_numbered(3, "T")))
    controls = ["T000001", "T000002", "T000003"]
    assert all(f"MSA|AA|{control}" in answer for control in controls)
    found = acts(twin, since)
    assert [e.more["control"] for e in found] == controls
    assert {e.what for e in found} == {"ADT^A08", "ORM^O01", "ORU^R01"}


def test_mint_jobs_are_local_to_the_host(twin: Twin) -> None:
    here, there = (f"http://{rip(twin, host)}:8080" for host in ("vna1", "vna2"))
    job = httpx.post(f"{here}/jobs/createstudy", content=b"synthetic").json()["job"]
    assert httpx.get(f"{here}/jobs/createstudy/{job}").json()["state"] == "SUCCESS"
    assert httpx.get(f"{there}/jobs/createstudy/{job}").status_code == 404
    assert httpx.get(f"{here}/studies", params={"studyuid": "2.25.1"}).json()["host"] == "vna1"


def test_the_web_application_names_its_host_and_its_client_but_notes_no_query(twin: Twin) -> None:
    since = evidence.mark(twin)
    url = f"http://{rip(twin, 'far')}:9237"
    page = httpx.get(f"{url}/study?PatientName=DOE", headers={"X-Forwarded-For": "198.51.100.7"}).text
    assert '<b id="host">far</b>' in page
    assert '<b id="client">198.51.100.7</b>' in page
    (entry,) = acts(twin, since)
    assert (entry.services, entry.what) == (("Web",), "GET /study")
    assert entry.more == {"forwarded": "198.51.100.7"}


def test_the_web_application_can_be_slow_and_large_within_limits(twin: Twin) -> None:
    url = f"http://{rip(twin, 'vna1')}:8237"
    assert httpx.get(f"{url}/slow?ms=10").text == "vna1\n"
    assert len(httpx.get(f"{url}/size?bytes=100000").content) == 100_000
    assert httpx.get(f"{url}/size?bytes=-1").status_code == 400
    assert httpx.get(f"{url}/slow?ms=60001").status_code == 400


def test_kill_freeze_and_restore_show_in_the_status(twin: Twin) -> None:
    assert states(twin, "vna1")["hl7"] == "running"
    control.kill(twin, "vna1", "hl7")
    control.freeze(twin, "vna1", "dicom")
    assert states(twin, "vna1") | {"hl7": "killed", "dicom": "frozen"} == states(twin, "vna1")
    assert control.restore(twin, "vna1", None) == ["dicom goes on", "hl7 started"]
    assert set(states(twin, "vna1").values()) == {"running"}
    assert "MSA|AA|T000001" in send("mllp", rip(twin, "vna1"), 2398, "".join(data.hl7_numbered(1, "T")))


def test_wires_cannot_be_pulled_where_there_are_none(twin: Twin) -> None:
    with pytest.raises(LabError, match="no wires to pull"):
        control.unplug(twin, "vna1")


def test_unknown_machines_and_pieces_are_refused_with_those_that_are(twin: Twin) -> None:
    with pytest.raises(LabError, match="no machine 'vna9'; it has: client1"):
        control.kill(twin, "vna9", None)
    with pytest.raises(LabError, match="no piece 'orthanc'; it has: dicom"):
        control.kill(twin, "vna1", "orthanc")


def test_a_second_twin_of_that_name_is_refused(twin: Twin) -> None:
    with pytest.raises(LabError, match="is there already"):
        build.up(twin, with_engine=False)
    assert states(twin, "vna1")["hl7"] == "running"


def test_a_later_command_finds_the_same_twin(twin: Twin) -> None:
    assert load("light") == twin


def test_exec_runs_a_command_on_a_machine_and_passes_on_its_exit_code(twin: Twin) -> None:
    script = 'cat; printf %s "$WILLIS_SOCKET"; exit 7'
    argv = ["lab", "exec", "lb1", "--name", "light", "--", "sh", "-c", script]
    done = subprocess.run(
        [sys.executable, "-m", "willis", *argv], input="in ", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (7, f"in {twin.socket}")


def test_down_ends_every_process_and_is_idempotent(base: Path) -> None:
    other = plan("other", source.on_loopback(DOCUMENT), light=True)
    build.up(other, with_engine=False)
    control.freeze(other, "vna1", None)
    assert other.processes()
    assert build.down("other")
    assert other.processes() == []
    assert list(base.iterdir()) == []
    assert not build.down("other")


def test_a_twin_that_cannot_come_up_leaves_nothing(base: Path) -> None:
    taken = plan("taken", source.on_loopback(DOCUMENT), light=True)
    broken = plan("broken", taken.document, light=True)
    build.up(taken, with_engine=False)
    try:
        with pytest.raises(LabError, match="in use"):
            build.up(broken, with_engine=False)
        assert broken.processes() == []
        assert [entry.name for entry in base.iterdir()] == ["taken"]
    finally:
        build.down("taken")


def states(twin: Twin, host: str) -> dict[str, str]:
    row = next(m for m in control.status(twin)["machines"] if m["name"] == host)
    return {piece["name"]: piece["state"] for piece in row["pieces"]}


def test_a_path_too_long_for_unix_sockets_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WILLIS_LAB_DIR", str(tmp_path / ("x" * 60)))
    with pytest.raises(LabError, match="too long for unix sockets"):
        build.up(plan("long", source.on_loopback(DOCUMENT), light=True), with_engine=False)
