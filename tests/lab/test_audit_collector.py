"""A real rsyslog takes the audit trail over TLS; killed and back, it has every entry in order."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.atna import conforms
from tests.builders import dr, site
from tests.pki import Root, pem
from tests.ports import free_port
from tests.unit.control.test_audit_export import until
from willis.certificates.store import CertificateStore
from willis.control import audit_export
from willis.control.audit import Audit
from willis.control.audit_export import AuditExport
from willis.control.loop import Loop
from willis.control.store import Store
from willis.model.collector import AuditCollector, AuditFormat
from willis.model.status import Status

RSYSLOG = shutil.which("rsyslogd", path="/usr/sbin:/usr/bin")
pytestmark = [pytest.mark.lab, pytest.mark.skipif(RSYSLOG is None, reason="rsyslog is not installed")]

CONFIG = """
global(workDirectory="{home}" DefaultNetstreamDriver="ossl" DefaultNetstreamDriverCAFile="{home}/root.pem"
  DefaultNetstreamDriverCertFile="{home}/far.pem" DefaultNetstreamDriverKeyFile="{home}/far.key")
module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/certvalid")
input(type="imtcp" address="127.0.0.1" port="{port}")
template(name="raw" type="string" string="%rawmsg%\\n")
action(type="omfile" file="{home}/heard" template="raw")
"""


class Rsyslog:
    """In the foreground, with files of its own."""

    def __init__(self, home: Path, root: Root) -> None:
        self.home = home
        self.port = free_port()
        issued = root.issue("127.0.0.1")
        for name, content in (
            ("root.pem", pem(root.certificate)),
            ("far.pem", issued.pem),
            ("far.key", issued.key_pem),
        ):
            (home / name).write_bytes(content)
        (home / "rsyslog.conf").write_text(CONFIG.format(home=home, port=self.port))
        self.process: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        files = ["-f", str(self.home / "rsyslog.conf"), "-i", str(self.home / "pid")]
        (self.home / "pid").unlink(missing_ok=True)
        self.process = subprocess.Popen([str(RSYSLOG), "-n", *files])

    def end(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def heard(self) -> list[str]:
        path = self.home / "heard"
        return path.read_text(encoding="utf-8-sig").splitlines() if path.exists() else []


def numbers(lines: list[str]) -> list[int]:
    return [int(n) for line in lines for n in re.findall(r'sequenceId="(\d+)"', line)]


@pytest.mark.parametrize("how", AuditFormat)
def test_rsyslog_gets_every_entry(tmp_path: Path, how: AuditFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_export, "_SLOWEST_S", 0.5)
    root = Root("Drill")
    far = Rsyslog(tmp_path, root)
    store = Store(tmp_path / "willis.db")
    certificates = CertificateStore(tmp_path / "certificates")
    certificates.put_authority("drill", pem(root.certificate))
    certificates.put("node", root.issue("lb1").pem_with_key)
    audit = Audit(store)
    collector = AuditCollector("127.0.0.1", far.port, how, "drill", "node")
    loop = Loop([], replace(site(dr()), audit=(collector,)), Status())

    async def story() -> None:
        export = AuditExport("lb1", loop, store.database, certificates)
        export.start()
        far.open()
        for _ in range(300):
            audit.note("ann", "POST /drain", "where vna1", reason="disk <&> é")
        await until(lambda: len(far.heard()) == 300)
        far.end()
        for _ in range(20):
            audit.note("ann", "POST /drain", "where vna2")
        await until(lambda: any("20 entries" in c.what for c in export.conditions()))
        far.open()
        await until(lambda: len(set(numbers(far.heard()))) == 320)
        await until(lambda: not any(export.conditions()))
        export.close()

    try:
        asyncio.run(story())
    finally:
        far.end()
        store.close()
    assert numbers(far.heard()) == list(range(1, 321))
    if how is AuditFormat.DICOM:
        conforms("<AuditMessage>" + far.heard()[0].partition("<AuditMessage>")[2])
