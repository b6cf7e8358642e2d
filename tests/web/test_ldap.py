"""Signing in with a directory: a real slapd over TLS."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.pki import Root, pem
from tests.ports import free_port
from tests.web.node import PASSWORD, Node, wait_until
from willis.control.directory import _entry
from willis.model.sign_in import Ldap

pytestmark = pytest.mark.lab
pytest.importorskip("bonsai", reason="bonsai is not installed: pip install .[ldap]")
SLAPD = shutil.which("slapd", path="/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", ""))
if SLAPD is None:
    pytest.skip("slapd is not installed", allow_module_level=True)

CONFIG = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCACertificateFile {place}/ca.pem
TLSCertificateFile {place}/c.pem
TLSCertificateKeyFile {place}/k.pem
database mdb
suffix "dc=example,dc=org"
directory {place}/db
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * none
"""
PEOPLE = """
dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
o: Hospital
dc: example

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: uid=carl,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: carl
cn: Carl
sn: Carl
mail: carl@example.org
userPassword: a sentence of carl

dn: uid=dora,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: dora
cn: Dora
sn: Dora
userPassword: a sentence of dora

dn: cn=PACS Team,dc=example,dc=org
objectClass: groupOfNames
cn: PACS Team
member: uid=carl,ou=people,dc=example,dc=org
"""
DOCUMENT = """
version: 1
site: access
interfaces: {{lo: {{addresses: [127.0.0.1/8]}}}}
hosts: {{}}
access:
  ldap:
    servers: [{servers}]
    port: {port}
    authority: directory
    bind: uid={{name}},ou=people,dc=example,dc=org
    base: dc=example,dc=org
    grants: [{{group: PACS Team, role: operator}}]
services: {{}}
"""


@pytest.fixture(scope="module")
def port(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    place = tmp_path_factory.mktemp("ldap")
    root = Root("directory")
    issued = root.issue("127.0.0.1")
    for name, content in (("ca", pem(root.certificate)), ("c", issued.pem), ("k", issued.key_pem)):
        (place / f"{name}.pem").write_bytes(content)
    (place / "db").mkdir()
    (place / "slapd.conf").write_text(CONFIG.format(place=place))
    config = ["-f", str(place / "slapd.conf")]
    subprocess.run(
        [SLAPD, "-T", "add", *config], input=PEOPLE, text=True, capture_output=True, timeout=120, check=True
    )
    found = free_port()
    server = subprocess.Popen(
        [SLAPD, "-d", "0", "-h", f"ldaps://127.0.0.1:{found} ldaps://127.0.0.2:{found}", *config],
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: _listens(found))
        node.willis("certificate", "authority", "add", "directory", str(place / "ca.pem"))
        yield found
    finally:
        server.terminate()
        server.wait(60)


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def _apply(node: Node, port: int, servers: str = "127.0.0.1") -> None:
    node.willis("apply", "-", stdin=DOCUMENT.format(servers=servers, port=port))


def _login(node: Node, source: str, name: str, password: str) -> tuple[int, dict[str, object]]:
    with node.browser(source) as browser:
        answer = browser.post("/api/v1/login", json={"name": name, "password": password})
        return answer.status_code, browser.get("/api/v1/me").json() if answer.is_success else answer.json()


def test_a_member_of_a_group_gets_its_role_and_nobody_else_gets_in(node: Node, port: int) -> None:
    _apply(node, port)
    status, me = _login(node, "127.0.1.1", "carl", "a sentence of carl")
    assert status == 200, me
    assert me["name"] == "ldap:carl"
    assert me["grants"] == [{"role": "operator", "services": ["*"]}]
    status, why = _login(node, "127.0.1.1", "dora", "a sentence of dora")
    assert status == 401
    assert "none of their groups" in str(why)
    for name, password in (
        ("carl", "wrong"),
        ("carl", ""),
        ("nobody", "x"),
        ("carl,ou=people", "x"),
        ("*", "x"),
    ):
        assert _login(node, "127.0.1.2", name, password)[0] == 401, name


def test_a_local_user_stays_local(node: Node, port: int) -> None:
    _apply(node, port)
    status, me = _login(node, "127.0.1.3", "ann", PASSWORD)
    assert (status, me["name"]) == (200, "ann")


def test_an_entry_is_found_where_the_name_to_bind_as_is_no_distinguished_name() -> None:
    asked: list[str] = []

    class Connection:
        def search(self, base: str, scope: object, wanted: str, *_: object, **__: object) -> list[object]:
            asked.append(wanted)
            return [type("Entry", (), {"dn": "cn=Carl,dc=example,dc=org"})]

    ldap = Ldap(("dc1",), "{name}@example.org", "dc=example,dc=org", ())
    assert _entry(Connection(), ldap, "carl") == "cn=Carl,dc=example,dc=org"
    assert "(sAMAccountName=carl)" in asked[0]


def test_the_next_server_is_asked_and_none_is_trusted_unproved(node: Node, port: int) -> None:
    _apply(node, port, servers="no-such-server.invalid, 127.0.0.1")
    assert _login(node, "127.0.1.4", "carl", "a sentence of carl")[0] == 200
    _apply(node, port, servers="127.0.0.2")  # not a name of its certificate
    status, why = _login(node, "127.0.1.5", "carl", "a sentence of carl")
    assert status == 409
    assert "no directory server" in str(why)
