"""Layer 7, DICOM: AE titles decide, fragile servers are shielded, with dcmtk and pynetdicom as peers."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import seen
from tests.lab.proxy import PORT, Proxy, address, eventually, local_site, service
from tests.pki import Root, pem
from willis.certificates.store import CertificateStore
from willis.engines.haproxy.runtime import Runtime
from willis.lab import data
from willis.model.config import Config
from willis.model.persistence import Title, TitlePersistence
from willis.model.proxy import (
    ClientCertificates,
    Dicom,
    Limits,
    ProxyTimeouts,
    TitleCertificate,
    TitleRoute,
    Tls,
)
from willis.model.service import Application, RealServer, Scheduler
from willis.model.status import Admin, Place, Verdict

pynetdicom = pytest.importorskip("pynetdicom")
pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(shutil.which("echoscu") is None, reason="dcmtk is not installed"),
]

VIP = str(address(101))
_SCP_PORT = PORT + 20
VERIFICATION = "1.2.840.10008.1.1"
MR = "1.2.840.10008.5.1.4.1.1.4"


class Archive:
    """A pynetdicom SCP at vnaN: it notes who called whom, and answers a status of its own."""

    def __init__(self, number: int, *, called: str = "", status: int = 0) -> None:
        self.name = f"vna{number}"
        self.seen: list[tuple[str, str]] = []
        self.open = 0
        self.stored = 0
        self.status = status
        ae = pynetdicom.AE(called or "ANY")
        ae.require_called_aet = bool(called)
        ae.maximum_associations = 50
        ae.add_supported_context(VERIFICATION)
        ae.add_supported_context(MR, ["1.2.840.10008.1.2.1"])
        evt = pynetdicom.evt
        handlers: list[Any] = [
            (evt.EVT_ACCEPTED, self._accepted),
            (evt.EVT_CONN_CLOSE, self._closed),
            (evt.EVT_C_STORE, self._store),
        ]
        self._server = ae.start_server((str(address(number)), _SCP_PORT), block=False, evt_handlers=handlers)

    def _accepted(self, event: Any) -> None:
        asked = event.assoc.requestor.primitive
        self.seen.append((asked.calling_ae_title.strip(), asked.called_ae_title.strip()))
        self.open += 1

    def _closed(self, _: Any) -> None:
        self.open -= 1

    def _store(self, _: Any) -> int:
        self.stored += 1
        return self.status

    def close(self) -> None:
        self._server.shutdown()


@pytest.fixture
def archives() -> Iterator[list[Archive]]:
    made = [Archive(n) for n in (1, 2, 3)]
    yield made
    for one in made:
        one.close()


def dicom(wanted: Dicom = Dicom(), *, pool: tuple[int, ...] = (1, 2), **changes: Any) -> Config:  # noqa: B008
    """Dicom over vna1 and vna2, and Archive, which only routes lead to, over vna3."""
    real = {n: RealServer(f"vna{n}", address(n), _SCP_PORT) for n in (1, 2, 3)}
    plain = service(application=Application.DICOM, persistence=None, scheduler=Scheduler.WRR)
    one = replace(plain, name="Dicom", dicom=wanted, pool=tuple(real[n] for n in pool), **changes)
    return local_site(one, replace(plain, name="Archive", ports=(), pool=(real[3],)))


def echo(calling: str = "CT1", called: str = "PACS", *more: str) -> str:
    """What echoscu says; nothing if the association was accepted and answered."""
    words = ["echoscu", "-aet", calling, "-aec", called, *more, VIP, str(PORT)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def associate(calling: str = "CT1", called: str = "PACS") -> Any:
    """An association that stays open."""
    ae = pynetdicom.AE(calling)
    ae.add_requested_context(VERIFICATION)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
    return ae.associate(VIP, PORT, ae_title=called)


def callers(archive: Archive) -> set[str]:
    return {calling for calling, _ in archive.seen}


def test_called_titles_lead_to_pools(proxy: Proxy, archives: list[Archive]) -> None:
    proxy.apply(dicom(Dicom(routes=(TitleRoute(("RIS", "MWL"), "Archive"),))))
    assert [echo(called=called) for called in ("RIS", "MWL", "PACS", "OTHER")] == [""] * 4
    assert [called for _, called in archives[2].seen] == ["RIS", "MWL"]
    assert {called for archive in archives[:2] for _, called in archive.seen} == {"PACS", "OTHER"}


def test_unknown_titles_are_rejected_in_order(proxy: Proxy, archives: list[Archive]) -> None:
    proxy.apply(dicom(Dicom(called=("PACS",), calling=("CT1", "MR1"))))
    assert echo() == echo("MR1") == ""
    assert "Called AE Title Not Recognized" in echo(called="NOBODY")
    assert "Calling AE Title Not Recognized" in echo("US1")
    assert set.union(*map(callers, archives)) == {"CT1", "MR1"}


def test_lists_change_at_run_time(proxy: Proxy, archives: list[Archive]) -> None:
    proxy.apply(dicom(Dicom(calling=("CT1",))))
    worker = proxy.worker()
    held = associate()
    proxy.apply(dicom(Dicom(calling=("MR1",))))
    assert echo("MR1") == ""
    assert "Calling AE Title Not Recognized" in echo("CT1")
    assert proxy.worker() == worker, "nothing was reloaded"
    assert held.send_c_echo().Status == 0
    held.release()


@pytest.mark.parametrize("title", Title)
def test_a_title_stays_on_its_server(proxy: Proxy, archives: list[Archive], title: Title) -> None:
    config = dicom(persistence=TitlePersistence(title), pool=(1, 2, 3))
    proxy.apply(config)
    for name in ("A", "B", "C"):
        for _ in range(4):
            assert (echo(calling=name) if title is Title.CALLING else echo(called=name)) == ""
    index = 0 if title is Title.CALLING else 1
    homes = {a.name: {pair[index] for pair in a.seen} for a in archives}
    assert sorted(name for names in homes.values() for name in names) == ["A", "B", "C"]
    assert all(homes.values())
    home = next(name for name, names in homes.items() if "A" in names)
    proxy.apply(config, seen(config, **{home: Verdict.DEAD}))
    before = {a.name: len(a.seen) for a in archives}
    assert (echo(calling="A") if title is Title.CALLING else echo(called="A")) == ""
    assert {a.name: len(a.seen) for a in archives}[home] == before[home]


@pytest.mark.parametrize("admin", [Admin.DRAIN, Admin.HALT])
def test_a_title_leaves_a_server_where_its_association_hangs(
    proxy: Proxy, archives: list[Archive], admin: Admin
) -> None:
    """Drained, the association goes on for as long as it lasts; halted, it ends at once."""
    config = dicom(
        Dicom(routes=(TitleRoute(("RIS",), "Archive"),)), persistence=TitlePersistence(), pool=(3, 1, 2)
    )
    proxy.apply(config)
    held = associate()
    (home,) = [archive for archive in archives if archive.seen]
    assert home.name == "vna3"
    proxy.apply(config, replace(seen(config), admin={Place(home.name, "Dicom"): admin}))
    assert [echo() for _ in range(3)] == [""] * 3
    assert len(home.seen) == 1, "its title goes elsewhere"
    assert [len(archive.seen) for archive in archives if archive is not home].count(3) == 1, "to one"
    assert echo(called="RIS") == "", "and where it serves another pool it is as it was"
    if admin is Admin.DRAIN:
        assert held.send_c_echo().Status == 0
        held.release()
    else:
        eventually(lambda: not held.is_established)
    eventually(lambda: [archive.open for archive in archives] == [0, 0, 0])


def test_nobody_left_is_told_to_come_again(proxy: Proxy, archives: list[Archive]) -> None:
    config = dicom(Dicom(routes=(TitleRoute(("RIS",), "Archive"),)))
    proxy.apply(config, seen(config, vna1=Verdict.DEAD, vna2=Verdict.DEAD))
    assert "Rejected Transient" in echo()
    assert echo(called="RIS") == ""
    proxy.apply(config, seen(config, vna3=Verdict.DEAD))
    assert echo() == ""
    assert "Rejected Transient" in echo(called="RIS")


def test_who_connected_before_a_reload_is_served_after_it(proxy: Proxy, archives: list[Archive]) -> None:
    """The old worker, which took the connection, counts no servers any more."""
    proxy.apply(dicom())
    with socket.create_connection((VIP, PORT), timeout=30) as wire:
        worker = proxy.worker()
        proxy.apply(dicom(waits=ProxyTimeouts(connect_s=7)))
        assert proxy.worker() != worker
        wire.sendall(_request())
        assert wire.recv(1) in (b"\x02", b"\x03")
        assert any(archive.seen for archive in archives), "a server was asked"


def test_a_full_server_lets_associations_wait(proxy: Proxy, archives: list[Archive]) -> None:
    proxy.apply(dicom(pool=(1,), limits=Limits(per_server=2)))
    held = [associate(), associate()]
    assert all(one.is_established for one in held)
    waiting = threading.Thread(target=lambda: said.append(echo()))
    said: list[str] = []
    waiting.start()
    waiting.join(1)
    assert (said, archives[0].open) == ([], 2)
    held[0].release()
    waiting.join(60)
    assert said == [""]
    held[1].release()


def test_one_title_has_so_many_associations_and_waits_for_more(proxy: Proxy, archives: list[Archive]) -> None:
    proxy.apply(dicom(Dicom(per_calling=1), waits=ProxyTimeouts(queue_s=2)))
    held = associate()
    assert held.is_established
    assert echo("MR1") == "", "another title has its own places"
    assert "Rejected Transient" in echo(), "and who waited too long is told to come again"
    said: list[str] = []
    waiting = threading.Thread(target=lambda: said.append(echo()))
    waiting.start()
    held.release()
    waiting.join(60)
    assert said == [""]


def test_the_limit_of_a_title_holds_however_long_one_waits(proxy: Proxy, archives: list[Archive]) -> None:
    proxy.apply(dicom(Dicom(per_calling=1), waits=ProxyTimeouts(request_s=1, queue_s=6)))
    held = associate()
    said: list[str] = []
    waiting = threading.Thread(target=lambda: said.append(echo()))
    waiting.start()
    waiting.join(3)
    assert (said, sum(archive.open for archive in archives)) == ([], 1)
    held.release()
    waiting.join(60)
    assert said == [""]


def test_patience_does_not_pass_a_list(proxy: Proxy) -> None:
    fragile = Fragile(1)
    try:
        wanted = Dicom(called=("PACS",), validate=False)
        proxy.apply(dicom(wanted, pool=(1,), waits=ProxyTimeouts(request_s=1)))
        with socket.create_connection((VIP, PORT), timeout=30) as sock:
            sock.sendall(_request(b"NOBODY")[:40])
            assert _ended(sock)
        assert fragile.got == []
    finally:
        fragile.close()


def test_servers_see_the_title_that_they_know(proxy: Proxy) -> None:
    strict = Archive(1, called="PACS1")
    try:
        proxy.apply(dicom(pool=(1,)))
        assert "Called AE Title Not Recognized" in echo(called="CLUSTER")
        proxy.apply(dicom(Dicom(rename="PACS1"), pool=(1,)))
        assert echo(called="CLUSTER") == ""
        assert strict.seen == [("CT1", "PACS1")]
    finally:
        strict.close()


class Fragile:
    """A server that counts connections and keeps the bytes that reach it. It closes none of them first."""

    def __init__(self, number: int) -> None:
        self.got: list[bytes] = []
        self._listener = socket.create_server((str(address(number)), _SCP_PORT))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                wire, _ = self._listener.accept()
            except OSError:
                return
            self.got.append(b"")
            threading.Thread(target=self._read, args=(wire, len(self.got) - 1), daemon=True).start()

    def _read(self, wire: socket.socket, number: int) -> None:
        with wire, suppress(OSError):
            while more := wire.recv(4096):
                self.got[number] += more

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _request(called: bytes = b"PACS") -> bytes:
    """The first PDU of an association, with an application context as its only item."""
    name = b"1.2.840.10008.3.1.1.1"
    items = b"\x10\0" + len(name).to_bytes(2, "big") + name
    body = b"\0\1\0\0" + called.ljust(16) + b"CT1".ljust(16) + bytes(32) + items
    return b"\1\0" + len(body).to_bytes(4, "big") + body


RUBBISH = {
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + bytes(80),
    "tls": b"\x16\x03\x01\x02\x00" + bytes(100),
    "data": b"\4" + _request()[1:],
    "too long": b"\1\0\x7f\xff\xff\xff" + bytes(100),
    "too short": b"\1\0\0\0\0\x10" + bytes(100),
    "half": _request()[:40],
    "another version": _request()[:6] + b"\0\2" + _request()[8:],
    "a title within a title": _request(b"PACS\0EVIL"),
    "nothing": b"",
}


@pytest.mark.parametrize("case", RUBBISH)
def test_no_server_meets_rubbish(proxy: Proxy, case: str) -> None:
    fragile = Fragile(1)
    try:
        proxy.apply(dicom(pool=(1,), waits=ProxyTimeouts(request_s=1)))
        with socket.create_connection((VIP, PORT), timeout=30) as sock:
            sock.sendall(RUBBISH[case])
            assert _ended(sock)
        assert fragile.got == []
    finally:
        fragile.close()


def _ended(sock: socket.socket) -> bool:
    try:
        return sock.recv(100) == b""
    except ConnectionResetError:
        return True


def test_a_request_in_many_pieces_arrives_whole(proxy: Proxy) -> None:
    fragile = Fragile(1)
    try:
        proxy.apply(dicom(Dicom(called=("PACS",)), pool=(1,)))
        with socket.create_connection((VIP, PORT), timeout=30) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in _request():
                sock.sendall(bytes([byte]))
            eventually(lambda: fragile.got == [_request()])
    finally:
        fragile.close()


def test_titles_belong_to_certificates(proxy: Proxy, archives: list[Archive], tmp_path: Path) -> None:
    root = Root("Drill")
    store = CertificateStore(proxy.home / "certificates")
    store.put("pacs", root.issue("pacs.example").pem_with_key)
    authority = pem(root.certificate)
    store.put_authority("modalities", authority)
    bound = (TitleCertificate("CT1", "ct1.example"), TitleCertificate("MR1", "mr1.example"))
    tls = Tls(("pacs",), clients=ClientCertificates("modalities"))
    proxy.apply(dicom(Dicom(certificates=bound), tls=tls))
    (tmp_path / "root.pem").write_bytes(authority)
    words = {}
    for name in ("ct1", "mr1"):
        issued = root.issue(f"{name}.example")
        key, certificate = tmp_path / f"{name}.key", tmp_path / f"{name}.pem"
        key.write_bytes(issued.key_pem)
        certificate.write_bytes(issued.pem)
        words[name] = ("+tls", str(key), str(certificate), "+cf", str(tmp_path / "root.pem"))
    assert echo("CT1", "PACS", *words["ct1"]) == echo("MR1", "PACS", *words["mr1"]) == ""
    assert "Calling AE Title Not Recognized" in echo("CT1", "PACS", *words["mr1"])
    assert "Calling AE Title Not Recognized" in echo("US1", "PACS", *words["ct1"])
    assert echo("CT1") != ""
    assert set.union(*map(callers, archives)) == {"CT1", "MR1"}


def test_refused_objects_are_counted_by_server(proxy: Proxy) -> None:
    full = Archive(1, status=0xA700)
    try:
        proxy.apply(dicom(pool=(1,)))
        files = list(map(str, data.mr()))
        words = ["storescu", "-aet", "MR1", "-aec", "PACS", VIP, str(PORT), *files]
        subprocess.run(words, capture_output=True, timeout=60, check=False)
        assert full.stored >= 1
        told = Runtime(proxy.home / "haproxy.sock").ask("show dimse").split()
        assert told[:5] == ["Dicom", "vna1", "8001", "A700", str(full.stored)]
    finally:
        full.close()
