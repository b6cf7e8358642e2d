"""Checks against real peers: what is well is up, and each way to be ill has its verdict.

dcmtk, Orthanc with DICOMweb, pynetdicom, python-hl7 and the twin's own web servers, on
loopback with ports of their own. One table: a peer, a question, what comes of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tests.lab.drill import ROOT
from tests.pki import Root, pem
from tests.ports import free_port
from willis.certificates.store import CertificateStore
from willis.health.looks import Looks
from willis.health.schedule import Schedule
from willis.health.trust import Trust
from willis.model.check import (
    Check,
    CheckKind,
    Deep,
    Dicom,
    DicomAsk,
    Dns,
    DnsAsk,
    HalfOpen,
    Hl7,
    Hl7Ask,
    Hl7Connect,
    Http,
    HttpAsk,
    Ping,
    Query,
    Question,
    Talk,
    Target,
    TcpTalk,
)
from willis.model.proxy import ServerTls
from willis.model.status import Verdict
from willis.plan.verdict import Result, Track, advance

DCMTK = {
    name: shutil.which(name, path="/usr/bin:/usr/local/bin") for name in ("storescp", "dcmqrscp", "wlmscpfs")
}
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
WORKLISTS = Path("/usr/share/doc/dcmtk/examples/wlistdb/OFFIS")

pytest.importorskip("pynetdicom")
pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(None in DCMTK.values(), reason="dcmtk is not installed"),
]

LOCAL = IPv4Address("127.0.0.1")
PATIENT = Check(timeout_s=20.0)
QUICK = Check(timeout_s=1.0)
NAME = "pacs.example.org"
_MOST = 4
"""Associations that dcmqrscp takes at once."""


def echo(called: str = "PACS1", **more: object) -> Dicom:
    return replace(Dicom(ask=DicomAsk(called, "WILLIS")), **more)


def find(called: str, query: Query) -> Dicom:
    return Dicom(CheckKind.DICOM_FIND, DicomAsk(called, "WILLIS", query))


def store(called: str = "PACS1") -> Dicom:
    return Dicom(CheckKind.DICOM_STORE, DicomAsk(called, "WILLIS"))


def hl7() -> Hl7:
    return Hl7(Hl7Ask("QBP^Q22^QBP_Q21"))


@dataclass
class Peer:
    """A process of its own."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    home: Path


class Peers:
    """Starts each peer once, when it is first asked for."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.root = Root("Lab CA")
        self.store = CertificateStore(base / "certificates")
        self.store.put_authority("lab", pem(self.root.certificate))
        self.store.put("node", self.root.issue("node.example.org").pem_with_key)
        self.looks = Looks(Trust(self.store))
        self._running: dict[str, Peer] = {}

    def of(self, name: str) -> Peer:
        if name not in self._running:
            home = self.base / name.replace(":", "_")
            home.mkdir()
            port = free_port()
            argv = self._argv(name, port, home)
            process = subprocess.Popen(
                argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
            )
            self._running[name] = Peer(name, port, process, home)
            await_open(port, process, datagrams=name == "dns")
        return self._running[name]

    def stop(self, name: str) -> None:
        peer = self._running.pop(name)
        os.killpg(peer.process.pid, signal.SIGKILL)
        peer.process.wait()

    def close(self) -> None:
        for name in list(self._running):
            self.stop(name)

    def look(self, name: str, question: Question, check: Check = PATIENT) -> Result:
        port = 0 if isinstance(question, Ping) else self.of(name).port
        if isinstance(question, Http) and question.kind is CheckKind.DICOMWEB:
            port = int((self.of(name).home / "http").read_text())
        return asyncio.run(self.looks.look(Target(LOCAL, port, question), check))

    def hung(self, name: str, question: Question) -> Result:
        """A look at a server that hangs, short and so repeated: a machine may stand still for a second."""
        deadline = time.monotonic() + 30
        while True:
            result = self.look(name, question, QUICK)
            if result.verdict is Verdict.HUNG or time.monotonic() > deadline:
                return result

    def _argv(self, name: str, port: int, home: Path) -> list[str]:
        kind = name.partition(":")[0]
        if kind in ("scp", "mllp", "mute", "fhir", "dns"):
            return [sys.executable, "-m", "tests.lab.peer", name, str(port)]
        if kind == "https":
            return [sys.executable, "-m", "tests.lab.peer", name, str(port), str(self._certificate(home))]
        if kind in ("mint", "http"):
            return lab_server(kind, port, home)
        return {"storescp": self._storescp, "storescp-tls": self._storescp_tls,
                "storescp-mutual": self._storescp_mutual, "dcmqrscp": dcmqrscp,
                "wlmscpfs": wlmscpfs, "Orthanc": orthanc}[kind](port, home)  # fmt: skip

    def _storescp(self, port: int, home: Path) -> list[str]:
        return [str(DCMTK["storescp"]), "--fork", "-od", str(home), str(port)]

    def _storescp_tls(self, port: int, home: Path) -> list[str]:
        issued = self.root.issue(NAME)
        (home / "key.pem").write_bytes(issued.key_pem)
        (home / "cert.pem").write_bytes(issued.pem)
        tls = ["+tls", str(home / "key.pem"), str(home / "cert.pem"), "-ic"]
        return [str(DCMTK["storescp"]), *tls, "-od", str(home), str(port)]

    def _storescp_mutual(self, port: int, home: Path) -> list[str]:
        """Clients must prove who they are."""
        *words, ignore, od, folder, number = self._storescp_tls(port, home)
        assert ignore == "-ic"
        (home / "ca.pem").write_bytes(pem(self.root.certificate))
        return [*words, "+cf", str(home / "ca.pem"), od, folder, number]

    def _certificate(self, home: Path) -> Path:
        found = home / "both.pem"
        found.write_bytes(self.root.issue(NAME).pem_with_key)
        return found


def dcmqrscp(port: int, home: Path) -> list[str]:
    (home / "store").mkdir()
    (home / "qr.cfg").write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = {_MOST}\n"
        "HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nPACS1 {home / 'store'} RW (9, 1024mb) ANY\nAETable END\n"
    )
    return [str(DCMTK["dcmqrscp"]), "-c", str(home / "qr.cfg"), str(port)]


def wlmscpfs(port: int, home: Path) -> list[str]:
    folder = home / "RISMWL"
    folder.mkdir()
    (folder / "lockfile").touch()
    for dump in sorted(WORKLISTS.glob("*.dump"))[:3]:
        subprocess.run(["/usr/bin/dump2dcm", dump, folder / f"{dump.stem}.wl"], check=True, timeout=20)
    return [str(DCMTK["wlmscpfs"]), "-dfp", str(home), str(port)]


def orthanc(port: int, home: Path) -> list[str]:
    http = free_port()
    (home / "http").write_text(str(http))
    settings = {
        "StorageDirectory": str(home),
        "IndexDirectory": str(home),
        "DicomAet": "PACS1",
        "DicomPort": port,
        "HttpPort": http,
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "Plugins": [str(DICOMWEB)],
    }
    (home / "orthanc.json").write_text(json.dumps(settings))
    return ["Orthanc", str(home / "orthanc.json")]


def lab_server(kind: str, port: int, home: Path) -> list[str]:
    brief = {
        "host": "vna1",
        "piece": kind,
        "ledger": str(home / "ledger"),
        "listens": [{"address": "127.0.0.1", "port": port, "protocol": "tcp"}],
        "services": [["127.0.0.1", port, "Web"]],
        "archive": None,
        "home": str(home),
    }
    (home / "brief.json").write_text(json.dumps(brief))
    return [sys.executable, "-m", f"willis.lab.servers.{kind}", str(home / "brief.json")]


def await_open(port: int, process: subprocess.Popen[bytes], *, datagrams: bool) -> None:
    """Half-open looks, so that no peer is disturbed. A name server has no port to connect to."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{process.args} ended with {process.returncode}"
        question: Question = Dns(DnsAsk(NAME)) if datagrams else HalfOpen()
        if asyncio.run(Looks().look(Target(LOCAL, port, question), QUICK)).ok:
            return
        time.sleep(0.05)
    raise AssertionError(f"{process.args} does not listen")


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    found = Peers(tmp_path_factory.mktemp("peers"))
    try:
        yield found
    finally:
        found.close()


TRUSTED = ServerTls("lab", name=NAME)
UNTRUSTED = ServerTls(name=NAME)
UNVERIFIED = ServerTls(verify=False)
NEEDS_ORTHANC = pytest.mark.skipif(
    not shutil.which("Orthanc") or not DICOMWEB.exists(), reason="Orthanc with DICOMweb is not installed"
)


def orthanc_row(question: Question, verdict: Verdict, reason: str) -> object:
    return pytest.param("Orthanc", question, verdict, reason, marks=NEEDS_ORTHANC)


UP, BUSY, FAILING, BAD = Verdict.UP, Verdict.BUSY, Verdict.FAILING, Verdict.MISCONFIGURED
TABLE = [
    ("storescp", HalfOpen(), UP, "accepts connections"),
    ("storescp", echo(), UP, "answers C-ECHO"),
    ("storescp", store(), UP, "answers C-STORE"),
    ("storescp", find("PACS1", Query.WORKLIST), BAD, "does not offer the modality worklist"),
    ("storescp", Http(), Verdict.DEAD, "closed the connection instead of the answer to GET /"),
    ("storescp-tls", echo(tls=TRUSTED), UP, "answers C-ECHO"),
    ("storescp-tls", echo(tls=UNTRUSTED), BAD, "does not pass: unable to get local issuer certificate"),
    ("storescp-tls", echo(tls=replace(TRUSTED, name="other.example.org")), BAD, "Hostname mismatch"),
    ("storescp-mutual", echo(tls=replace(TRUSTED, certificate="node")), UP, "answers C-ECHO"),
    ("storescp-tls", TcpTalk(tls=UNVERIFIED), UP, "accepts connections"),
    ("dcmqrscp", echo(), UP, "answers C-ECHO"),
    ("dcmqrscp", find("PACS1", Query.STUDY), UP, "answers C-FIND"),
    ("dcmqrscp", echo("PACS9"), BAD, "does not go by the AE title PACS9; set dicom.called"),
    ("wlmscpfs", echo("RISMWL"), UP, "answers C-ECHO"),
    ("wlmscpfs", find("RISMWL", Query.WORKLIST), UP, "answers C-FIND"),
    orthanc_row(echo(), UP, "answers C-ECHO"),
    orthanc_row(find("PACS1", Query.STUDY), UP, "answers C-FIND"),
    orthanc_row(store(), UP, "answers C-STORE"),
    orthanc_row(echo("PACS9"), BAD, "does not go by the AE title PACS9"),
    orthanc_row(Http(CheckKind.DICOMWEB), UP, "answers QIDO-RS with 200"),
    orthanc_row(Http(CheckKind.DICOMWEB, HttpAsk(root="/wado-rs")), BAD, "answers QIDO-RS with 404"),
    ("scp", echo(), UP, "answers C-ECHO"),
    ("scp", find("PACS1", Query.WORKLIST), UP, "answers C-FIND"),
    ("scp", store(), UP, "answers C-STORE"),
    ("scp:called=PACS2", echo(), BAD, "WILLIS calling PACS1: it does not go by the AE title PACS1"),
    ("scp:calling=CT1", echo(), BAD, "it is alive, but does not know the AE title WILLIS"),
    ("scp:echo=A700:find=A700:store=A700", echo(), BUSY, "A700 out of resources"),
    ("scp:echo=A700:find=A700:store=A700", find("P", Query.STUDY), FAILING, "its database does not answer"),
    ("scp:echo=A700:find=A700:store=A700", store(), FAILING, "A700 out of resources: it cannot store"),
    ("scp:find=A900:store=C000", find("P", Query.STUDY), BAD, "A900 data set does not match SOP class"),
    ("scp:find=A900:store=C000", store(), FAILING, "C000 unable to process"),
    ("mllp", Hl7Connect(), UP, "accepts connections"),
    ("mllp", hl7(), UP, "acknowledges QBP^Q22^QBP_Q21"),
    ("mllp", TcpTalk(Talk(expect="220")), Verdict.HUNG, "gives no answer (the text that is expected)"),
    ("mute", HalfOpen(), UP, "accepts connections"),
    ("mute", hl7(), Verdict.HUNG, "gives no answer (the ACK of QBP^Q22^QBP_Q21)"),
    ("mute", echo(), Verdict.HUNG, "gives no answer (A-ASSOCIATE-AC)"),
    ("mint", Http(CheckKind.MINT), UP, "answers the MINT query with 200"),
    ("http", Http(ask=HttpAsk(body="Served by*vna1")), UP, "answers GET / with 200"),
    ("http", Http(ask=HttpAsk(body="vna2")), FAILING, "its body lacks what http.body says"),
    ("fhir", Http(ask=HttpAsk(path="/nowhere")), BAD, "answers GET /nowhere with 404"),
    ("http", echo(), BAD, "does not speak DICOM: a PDU of type 48"),
    ("http", hl7(), BAD, "does not speak HL7 by MLLP: a frame begins with the byte 48"),
    ("http", TcpTalk(Talk(r"GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200")), UP, "answers as expected"),
    ("fhir", Http(CheckKind.FHIR), UP, "answers the FHIR capabilities with 200"),
    ("fhir", Http(ask=HttpAsk(path="/broken")), FAILING, "answers GET /broken with 500"),
    ("fhir", Http(CheckKind.HTTPS, tls=UNVERIFIED), BAD, "does not speak TLS"),
    ("https", Http(CheckKind.HTTPS, tls=TRUSTED), UP, "answers GET / with 200"),
    ("https", Http(CheckKind.HTTPS, tls=UNTRUSTED), BAD, "does not pass: unable to get local issuer"),
    ("https", Http(CheckKind.HTTPS, tls=UNVERIFIED), UP, "answers GET / with 200"),
    ("dns", Dns(DnsAsk(NAME)), UP, f"answers A {NAME}"),
    ("dns", Dns(DnsAsk("ris.example.org")), BAD, "NXDOMAIN"),
    ("host", Ping(), UP, "answers ping"),
]


@pytest.mark.parametrize(("name", "question", "verdict", "reason"), TABLE)
def test_what_a_peer_is_called(
    peers: Peers, name: str, question: Question, verdict: Verdict, reason: str
) -> None:
    look = peers.hung if verdict is Verdict.HUNG else peers.look
    result = look(name, question)
    if result.verdict is Verdict.UNKNOWN and isinstance(question, Ping):
        pytest.skip(result.reason)
    assert (result.verdict, reason in result.reason) == (verdict, True), result


def test_a_server_that_wants_to_see_our_certificate_says_so(peers: Peers) -> None:
    """Its alert may be overtaken by its RST; the sentence names the remedy either way."""
    result = peers.look("storescp-mutual", echo(tls=TRUSTED))
    assert result.verdict in (Verdict.DEAD, Verdict.MISCONFIGURED), result
    assert re.search("set tls.certificate|alert certificate required", result.reason), result


@contextmanager
def frozen(peer: Peer) -> Iterator[None]:
    os.killpg(peer.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(peer.process.pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("storescp", echo()),
        ("wlmscpfs", find("RISMWL", Query.WORKLIST)),
        pytest.param("Orthanc", echo(), marks=NEEDS_ORTHANC),
        ("scp", store()),
        ("mllp", hl7()),
        ("mint", Http(CheckKind.MINT)),
        ("https", Http(CheckKind.HTTPS, tls=TRUSTED)),
        ("fhir", Http(CheckKind.FHIR)),
        ("fhir", TcpTalk(Talk(r"GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200"))),
    ],
)
def test_a_frozen_process_is_hung_although_its_port_is_open(
    peers: Peers, name: str, question: Question
) -> None:
    peer = peers.of(name)
    with frozen(peer):
        assert peers.look(name, HalfOpen()).verdict is Verdict.UP
        result = peers.hung(name, question)
        assert result.verdict is Verdict.HUNG, result
        assert "the application hangs" in result.reason
    eventually(lambda: peers.look(name, question, QUICK).verdict is Verdict.UP)


def test_a_server_with_all_its_associations_taken_is_busy_and_not_down(peers: Peers) -> None:
    import pynetdicom

    port = peers.of("dcmqrscp").port
    ae = pynetdicom.AE("CT1")
    ae.add_requested_context("1.2.840.10008.1.1")
    held: list[pynetdicom.association.Association] = []

    def all_taken() -> bool:
        """Those of looks before are given back a moment after their end."""
        held.append(ae.associate("127.0.0.1", port, ae_title="PACS1"))
        return sum(association.is_established for association in held) == _MOST

    try:
        eventually(all_taken)
        result = peers.look("dcmqrscp", echo())
        assert result.verdict is Verdict.BUSY, result
        assert "local limit exceeded" in result.reason
    finally:
        for association in filter(lambda each: each.is_established, held):
            association.abort()
    eventually(lambda: peers.look("dcmqrscp", echo()).verdict is Verdict.UP)


@pytest.mark.parametrize("name", ["storescp", "mllp", "http"])
def test_a_killed_server_is_dead_at_once(peers: Peers, name: str) -> None:
    port = peers.of(name).port
    peers.stop(name)
    for question in (HalfOpen(), echo(), hl7(), Http(), TcpTalk()):
        result = asyncio.run(peers.looks.look(Target(LOCAL, port, question), PATIENT))
        assert result.verdict is Verdict.DEAD, result
        assert "connection refused" in result.reason


def test_a_worklist_that_lost_its_files_is_found_by_the_deep_look_and_comes_back(peers: Peers) -> None:
    """C-ECHO and connects succeed all the while."""
    peer = peers.of("wlmscpfs")
    lock = peer.home / "RISMWL" / "lockfile"
    deep = Deep(find("RISMWL", Query.WORKLIST), every=2)
    target = Target(LOCAL, peer.port, HalfOpen(), deep)
    check = Check(interval_s=0.2, timeout_s=5.0, deep=deep)
    track, kinds = Track(), list[CheckKind]()

    def take(_: Target, result: Result) -> None:
        nonlocal track
        kinds.append(result.kind)
        track = advance(track, result, check, time.time())

    async def until(verdict: Verdict) -> None:
        async with asyncio.timeout(30):
            while track.health.verdict is not verdict:
                await asyncio.sleep(0.02)

    async def run() -> None:
        schedule = Schedule(take, look=peers.looks.look)
        schedule.set({target: check})
        try:
            await until(Verdict.UP)
            lock.unlink()
            await until(Verdict.FAILING)
            assert "A700" in track.health.reason
            assert (await peers.looks.look(Target(LOCAL, peer.port, echo("RISMWL")), PATIENT)).ok
            lock.touch()
            await until(Verdict.UP)
        finally:
            schedule.close()

    asyncio.run(run())
    assert {CheckKind.TCP, CheckKind.DICOM_FIND} == set(kinds)


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
