"""An archive whose database is gone: a real Orthanc with its index in a real PostgreSQL.

Its ports stay open, it takes associations and echoes all the while. Who asks for something that
only the database knows finds it out, says so, and notices when the database is back.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tests.lab.drill import wait_until
from tests.ports import free_port
from willis.health.looks import Looks
from willis.health.schedule import Schedule
from willis.lab import probe
from willis.model.check import Check, CheckKind, Dicom, DicomAsk, Http, Query, Target
from willis.model.status import Verdict
from willis.plan.verdict import Result, Track, advance

PLUGINS = Path("/usr/share/orthanc/plugins")
WANTED = {
    "orthanc-dicomweb": PLUGINS / "libOrthancDicomWeb.so",
    "orthanc-postgresql": PLUGINS / "libOrthancPostgreSQLIndex.so",
}
SERVER = max(Path("/usr/lib/postgresql").glob("*/bin/postgres"), default=None)

pytestmark = pytest.mark.lab

LOCAL = IPv4Address("127.0.0.1")
CHECK = Check(interval_s=1.0, timeout_s=2.0)
WELL = dict.fromkeys(CheckKind, Verdict.UP)


class Database:
    """PostgreSQL on a unix socket in a directory of its own. It refuses to run as root."""

    def __init__(self, home: Path) -> None:
        assert SERVER is not None
        self.home = home
        self._as = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        if self._as:
            shutil.chown(home, "postgres", "postgres")
        made = self._run(SERVER.with_name("initdb"), "-N", "-A", "trust", "-U", "orthanc")
        assert made.wait(timeout=60) == 0
        self.start()

    def start(self) -> None:
        assert SERVER is not None
        self._main = self._run(SERVER, "-F", "-k", str(self.home), "-c", "listen_addresses=")

    def tell(self, number: signal.Signals) -> None:
        """A signal to each of its processes. The first one starts no others meanwhile."""
        self._main.send_signal(signal.SIGSTOP)
        pid = self._main.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in map(int, children):
            with suppress(ProcessLookupError):  # its workers come and go
                os.kill(each, number)
        self._main.send_signal(number)

    def end(self) -> None:
        if self._main.poll() is None:
            self.tell(signal.SIGKILL)
        self._main.wait(timeout=30)

    def _run(self, program: Path, *words: str) -> subprocess.Popen[bytes]:
        argv = [program, "-D", self.home / "data", *words]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
        return subprocess.Popen(argv, **quiet, **self._as)


class Archive:
    """Orthanc, and three ways to ask it, each as an engine asks."""

    def __init__(self, home: Path, database: Database) -> None:
        dicom, http = free_port(), free_port()
        settings = home / "orthanc.json"
        settings.write_text(json.dumps(_settings(home, database, dicom, http)))
        self.process = subprocess.Popen(
            ["Orthanc", settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        study = DicomAsk("PACS1", query=Query.STUDY)
        self.targets = {
            CheckKind.DICOM_ECHO: Target(LOCAL, dicom, Dicom(CheckKind.DICOM_ECHO, study)),
            CheckKind.DICOM_FIND: Target(LOCAL, dicom, Dicom(CheckKind.DICOM_FIND, study)),
            CheckKind.DICOMWEB: Target(LOCAL, http, Http(CheckKind.DICOMWEB)),
        }

    def answers(self, kind: CheckKind) -> bool:
        assert self.process.poll() is None, "Orthanc ended"
        return asyncio.run(Looks().look(self.targets[kind], CHECK)).ok

    def end(self) -> None:
        self.process.kill()
        self.process.wait(timeout=30)


class Watch:
    """The verdicts of an engine's schedule, and how long each took to come."""

    def __init__(self, archive: Archive) -> None:
        self.tracks = {target: Track() for target in archive.targets.values()}
        self._schedule = Schedule(self._take)
        self._schedule.set(dict.fromkeys(self.tracks, CHECK))

    async def until(self, kinds: set[CheckKind], wanted: Callable[[Verdict], bool]) -> dict[CheckKind, float]:
        """Seconds until the verdict of each of ``kinds`` is as ``wanted``."""
        began, found = time.monotonic(), dict[CheckKind, float]()
        async with asyncio.timeout(120):
            while found.keys() != kinds:
                await asyncio.sleep(0.02)
                for kind, verdict in self.verdicts().items():
                    if kind in kinds and kind not in found and wanted(verdict):
                        found[kind] = round(time.monotonic() - began, 1)
        return found

    def verdicts(self) -> dict[CheckKind, Verdict]:
        return {target.kind: track.health.verdict for target, track in self.tracks.items()}

    def reasons(self) -> dict[CheckKind, str]:
        return {target.kind: track.health.reason for target, track in self.tracks.items()}

    def close(self) -> None:
        self._schedule.close()

    def _take(self, target: Target, result: Result) -> None:
        self.tracks[target] = advance(self.tracks[target], result, CHECK, time.time())


def _settings(home: Path, database: Database, dicom: int, http: int) -> dict[str, object]:
    return {
        "StorageDirectory": str(home / "storage"),
        "DicomAet": "PACS1",
        "DicomPort": dicom,
        "HttpPort": http,
        "RemoteAccessAllowed": False,
        "DicomAlwaysAllowFind": True,
        "Plugins": [str(plugin) for plugin in WANTED.values()],
        "PostgreSQL": {
            "EnableIndex": True,
            "EnableStorage": False,
            "Host": str(database.home),
            "Database": "postgres",
            "Username": "orthanc",
            "Password": "",
            "MaximumConnectionRetries": 60,
            "ConnectionRetryInterval": 1,
        },
    }


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """Short, since a unix socket lives there, and open to the database's user, unlike pytest's own."""
    found = Path(tempfile.mkdtemp(prefix="willis-db-"))
    found.chmod(0o755)
    yield found
    shutil.rmtree(found)


@pytest.fixture(scope="module")
def database(home: Path) -> Iterator[Database]:
    lacking = [f"apt-get install {name}" for name, file in WANTED.items() if not file.exists()]
    lacking += probe.missing_for_orthanc() + ([] if SERVER else ["apt-get install postgresql"])
    if lacking:
        pytest.skip(f"no Orthanc with a PostgreSQL here; missing: {'; '.join(lacking)}")
    place = home / "pg"
    place.mkdir()
    found = Database(place)
    yield found
    found.end()


@pytest.fixture(scope="module")
def archive(home: Path, database: Database) -> Iterator[Archive]:
    found = Archive(home, database)
    try:
        for kind in found.targets:
            wait_until(lambda kind=kind: found.answers(kind), f"Orthanc answers {kind}")
        yield found
    finally:
        found.end()


@contextmanager
def frozen(database: Database) -> Iterator[None]:
    database.tell(signal.SIGSTOP)
    try:
        yield
    finally:
        database.tell(signal.SIGCONT)


@contextmanager
def killed(database: Database) -> Iterator[None]:
    database.end()
    try:
        yield
    finally:
        database.start()


@pytest.mark.parametrize(("breaks", "verdicts"), [(frozen, {"hung"}), (killed, {"hung", "failing"})])
def test_only_who_asks_for_data_finds_a_dead_database_and_its_return(
    archive: Archive, database: Database, breaks: Callable[..., object], verdicts: set[str]
) -> None:
    """Orthanc holds one of its four DICOM workers for each query without an answer: once all are
    held, C-ECHO hangs as well, so it is looked at as soon as the others are bad."""
    asking = {CheckKind.DICOM_FIND, CheckKind.DICOMWEB}

    async def run() -> None:
        watch = Watch(archive)
        try:
            await watch.until(set(archive.targets), lambda verdict: verdict is Verdict.UP)
            with breaks(database):
                bad = await watch.until(asking, lambda verdict: verdict is not Verdict.UP)
                found, reasons = watch.verdicts(), watch.reasons()
            back = await watch.until(set(archive.targets), lambda verdict: verdict is Verdict.UP)
        finally:
            watch.close()
        print(f"seconds to the verdicts: {bad}; back: {back}; {reasons}")
        assert found[CheckKind.DICOM_ECHO] is Verdict.UP
        assert {str(found[kind]) for kind in asking} <= verdicts
        assert all("database" in reasons[kind] for kind in asking), reasons

    asyncio.run(run())
