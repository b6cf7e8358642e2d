"""The certificate store over REST and by the commands, with a real store behind both."""

from __future__ import annotations

import asyncio
import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from typer.testing import CliRunner, Result

from tests.api.test_api import Site
from tests.builders import site, web
from tests.pki import Root, pem
from willis.__main__ import app
from willis.api.app import build
from willis.api.peer import PeerProtocol
from willis.config import write
from willis.model.proxy import ClientCertificates, Tls

ROOT = Root("Hospital Root")
USES = write(site(web(tls=Tls(("pacs",), clients=ClientCertificates("hospital")))))
UNUSED = write(site(web()))


@dataclass
class Node:
    """A controller behind its API on a unix socket."""

    socket: Path
    http: httpx.Client

    def ask(self, method: str, route: str, status: int = 200, **body: object) -> dict:
        answer = self.http.request(method, f"/api/v1{route}", json=body or None)
        assert answer.status_code == status, answer.text
        return answer.json()

    def put(
        self, name: str, *files: bytes, kind: str = "certificates", status: int = 200, **more: str
    ) -> dict:
        given = [b64encode(file).decode() for file in files]
        return self.ask("PUT", f"/{kind}/{name}", status, files=given, **more)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    """It serves in a thread of its own, as commands wait for their answers."""
    place = tmp_path / "engine.sock"
    ready, done = threading.Event(), threading.Event()

    async def serve() -> None:
        found = Site(tmp_path)
        app = build(found.controller, tmp_path)
        config = uvicorn.Config(app, http=PeerProtocol, uds=str(place), log_level="error")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        ready.set()
        await asyncio.to_thread(done.wait)
        server.should_exit = True
        await serving
        await found.http.aclose()
        await found.controller.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(30)
        monkeypatch.setenv("WILLIS_SOCKET", str(place))
        transport = httpx.HTTPTransport(uds=str(place))
        with httpx.Client(transport=transport, base_url="http://engine") as http:
            yield Node(place, http)
    finally:
        done.set()
        thread.join()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Where an administrator keeps what the commands read."""
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["certificate", *arguments], obj=lambda: None)


def test_what_is_stored_is_shown_without_its_key(node: Node) -> None:
    stored = node.put("pacs", ROOT.issue("pacs.example").pem_with_key)
    assert (stored["names"], stored["services"], stored["warnings"]) == (["pacs.example"], [], [])
    (row,) = node.ask("GET", "/certificates")["certificates"]
    shown = node.ask("GET", "/certificates/pacs")
    assert row["fingerprint"] == shown["fingerprint"] == stored["fingerprint"]
    assert shown["chain"].startswith("-----BEGIN CERTIFICATE-----")
    assert "PRIVATE" not in json.dumps([stored, row, shown])


def test_a_broken_file_in_the_store_does_not_hide_the_others(node: Node) -> None:
    node.put("pacs", ROOT.issue("pacs.example").pem_with_key)
    (node.socket.parent / "stray.pem").write_text("rubbish")
    listed = run("list")
    assert "pacs.example" in listed.stdout
    assert "stray in the store is no certificate" in " ".join(listed.stderr.split())


NOTHING = {"certificates": [], "requested": [], "unreadable": []}
BAD = {
    "nothing of the kind": (b"rubbish",),
    "no key": (ROOT.issue("pacs.example").pem,),
    "another key": (ROOT.issue("pacs.example").pem, ROOT.issue("pacs.example").key_pem),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_one_changes_nothing_and_its_key_is_not_repeated(node: Node, case: str) -> None:
    refused = node.put("new", *BAD[case], status=409)
    assert refused["detail"].startswith("certificate new was not stored: ")
    assert "PRIVATE" not in refused["detail"]
    assert node.ask("GET", "/certificates") == NOTHING


def test_what_is_not_base64_is_refused_without_being_repeated(node: Node) -> None:
    body = {"files": ["my secret key"], "passphrase": "open sesame"}
    answer = node.http.put("/api/v1/certificates/pacs", json=body)
    assert answer.status_code == 422
    assert "secret" not in answer.text
    assert "sesame" not in answer.text


def test_what_the_document_names_is_not_removed(node: Node) -> None:
    node.put("pacs", ROOT.issue("pacs.example").pem_with_key)
    node.put("hospital", pem(ROOT.certificate), kind="authorities")
    node.ask("POST", "/apply", document=USES)
    for kind, name in (("certificates", "pacs"), ("authorities", "hospital")):
        refused = node.ask("DELETE", f"/{kind}/{name}", 409)
        assert f"{name} is used by VitreaRead; take it out of the document first" in refused["detail"]
    assert node.ask("GET", "/certificates/pacs")["services"] == ["VitreaRead"]
    node.ask("POST", "/apply", document=UNUSED, force=True)
    for kind, name in (("certificates", "pacs"), ("authorities", "hospital")):
        assert node.ask("DELETE", f"/{kind}/{name}") == {"removed": name}
        node.ask("DELETE", f"/{kind}/{name}", 409)


def test_the_commands_tell_a_certificates_life(node: Node, files: Path) -> None:
    assert run("request", "pacs", "--domain", "pacs.example").stdout.startswith("-----BEGIN CERTIFICATE REQ")
    assert "requested and not come yet: pacs" in run("list").stdout
    wanted = x509.load_pem_x509_csr(run("request", "pacs", "--domain", "pacs.example").stdout.encode())
    (files / "signed.pem").write_bytes(pem(ROOT.sign(wanted.public_key(), "pacs.example")))
    added = run("add", "pacs", str(files / "signed.pem"))
    assert added.stdout.startswith("certificate pacs is stored, valid until ")
    assert "pacs.example" in run("show", "pacs").stdout
    node.ask("POST", "/apply", document=USES)
    (row,) = json.loads(run("list", "--json").stdout)["certificates"]
    assert (row["name"], row["services"]) == ("pacs", ["VitreaRead"])
    refused = run("remove", "pacs")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "used by VitreaRead" in " ".join(refused.stderr.split())
    node.ask("POST", "/apply", document=UNUSED, force=True)
    assert run("remove", "pacs").stdout == "certificate pacs is removed\n"


def test_a_pfx_needs_its_passphrase(node: Node, files: Path) -> None:
    issued = ROOT.issue("pacs.example")
    sealed = BestAvailableEncryption(b"open sesame")
    packed = pkcs12.serialize_key_and_certificates(b"x", issued.key, issued.certificate, None, sealed)
    (files / "pacs.pfx").write_bytes(packed)
    (files / "secret").write_text("open sesame\n")
    assert run("add", "pacs", str(files / "pacs.pfx")).exit_code == 1
    added = run("add", "pacs", str(files / "pacs.pfx"), "--passphrase-file", str(files / "secret"))
    assert added.exit_code == 0, added.stderr
    assert run("add", "pacs", str(files / "nowhere.pem")).exit_code == 1


def test_authorities_come_and_go(node: Node, files: Path) -> None:
    (files / "root.pem").write_bytes(pem(ROOT.certificate))
    added = run("authority", "add", "hospital", str(files / "root.pem"))
    assert added.stdout == "authority hospital is stored: 1 certificates\n"
    assert "Hospital Root" in run("authority", "list").stdout
    assert run("authority", "remove", "hospital").stdout == "authority hospital is removed\n"
    gone = run("authority", "remove", "hospital")
    assert gone.exit_code == 1
    assert "there is no authority hospital" in gone.stderr
    (files / "leaf.pem").write_bytes(ROOT.issue("pacs.example").pem)
    assert run("authority", "add", "hospital", str(files / "leaf.pem")).exit_code == 1
