"""Users, tokens and sessions by the command line, over real sockets, and over the death of the engine."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest
from typer.testing import CliRunner, Result

from tests.web.node import PASSWORD, USER, WILLIS, Node
from willis.__main__ import app


@pytest.fixture(scope="module")
def engine() -> Iterator[Node]:
    with tempfile.TemporaryDirectory(prefix="willis-users-") as base:
        Path(base).chmod(0o711)
        node = Node(Path(base))
        try:
            node.start_engine()
            yield node
        finally:
            node.end(node.engine)


def willis(node: Node, *arguments: str, stdin: str = "", expect: int = 0) -> Result:
    environment = {"WILLIS_SOCKET": str(node.run / "engine.sock")}
    found = CliRunner().invoke(app, list(arguments), input=stdin, env=environment, obj=lambda: None)
    assert found.exit_code == expect, found.output
    return found


def asked(
    node: Node, credential: str, method: str = "GET", route: str = "/me", **more: Any
) -> httpx.Response:
    """What the web process would ask."""
    headers = {"Willis-Client": "192.0.2.7"} | ({"Authorization": credential} if credential else {})
    transport = httpx.HTTPTransport(uds=str(node.run / "web" / "web.sock"))
    with httpx.Client(
        transport=transport, base_url="http://web/api/v1", headers=headers, timeout=60
    ) as client:
        return client.request(method, route, **more)


def test_users_by_the_command_line(engine: Node) -> None:
    code = willis(engine, "setup-code").stdout.strip()
    assert (engine.state / "setup-code").read_text().strip() == code
    willis(engine, "user", "add", "ann", stdin=PASSWORD, expect=2)
    willis(engine, "user", "add", "ann", "--role", "admin", stdin="short\n", expect=1)
    willis(engine, "user", "add", "ann", "--role", "admin", stdin=f"{PASSWORD}\n")
    willis(engine, "user", "add", "bob", "--role", "operator:Dicom*,RIS", stdin=f"{PASSWORD}\n")
    (ann, bob) = json.loads(willis(engine, "user", "list", "--json").stdout)["users"]
    assert ann["grants"] == [{"role": "admin", "services": ["*"]}]
    assert bob["grants"] == [{"role": "operator", "services": ["Dicom*", "RIS"]}]
    assert "operator in Dicom*, RIS" in willis(engine, "user", "show", "bob").stdout
    willis(engine, "user", "set", "bob", expect=2)
    willis(engine, "user", "set", "bob", "--role", "viewer", "--role", "auditor")
    willis(engine, "user", "set", "bob", "--password", stdin="another four words\n")
    willis(engine, "user", "reset-second-factor", "bob")
    answer = asked(engine, "", "POST", "/login", json={"name": "bob", "password": "another four words"})
    assert answer.status_code == 200
    (row,) = json.loads(willis(engine, "login-sessions", "list", "--json").stdout)["sessions"]
    assert (row["name"], row["source"]) == ("bob", "192.0.2.7")
    assert "1 ended" in willis(engine, "login-sessions", "end", "--user", "bob").stdout
    willis(engine, "login-sessions", "end", row["session"], expect=1)
    willis(engine, "user", "remove", "bob")
    refused = willis(engine, "user", "remove", "ann", expect=1)
    assert "last administrator" in refused.stderr
    assert PASSWORD not in willis(engine, "audit", "export").stdout


def test_ones_own_account_by_the_command_line(engine: Node) -> None:
    old, new = "the first of her words", "the second of her words"
    willis(engine, "user", "add", "eve", "--role", "viewer", stdin=f"{old}\n")
    elsewhere = asked(engine, "", "POST", "/login", json={"name": "eve", "password": old}).json()["session"]
    assert "wrong" in willis(engine, "me", "password", "eve", stdin=f"{new}\n{new}\n", expect=1).stderr
    weak = willis(engine, "me", "password", "eve", stdin=f"{old}\nshort\n", expect=1)
    assert "12 to 1000 characters" in weak.stderr
    rows = json.loads(willis(engine, "me", "sessions", "eve", "--json", stdin=f"{old}\n").stdout)["sessions"]
    other = next(row["session"] for row in rows if row["source"] == "192.0.2.7")
    assert len(rows) == 2
    willis(engine, "me", "end-sessions", "eve", other, stdin=f"{old}\n")
    assert asked(engine, f"Willis-Session {elsewhere}").status_code == 401
    willis(engine, "me", "password", "eve", stdin=f"{old}\n{new}\n")
    secret, codes = set_up(engine, "eve", new)
    code = pyotp.TOTP(secret).at(int(time.time()) + 30)  # each code works once; half a minute is forgiven
    assert "1 ended" in willis(engine, "me", "end-sessions", "eve", stdin=f"{new}\n{code}\n").stdout
    willis(engine, "me", "remove-second-factor", "eve", stdin=f"{new}\n{codes[0]}\n")
    assert not json.loads(willis(engine, "user", "show", "eve", "--json").stdout)["second_factor"]
    assert json.loads(willis(engine, "login-sessions", "list", "--json").stdout)["sessions"] == []
    willis(engine, "user", "remove", "eve")


def set_up(node: Node, name: str, password: str) -> tuple[str, list[str]]:
    """Whoever sets up a second factor answers with what the app makes of the secret just shown."""
    environment = {**os.environ, "WILLIS_SOCKET": str(node.run / "engine.sock")}
    command = [*WILLIS, "me", "second-factor", name, "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as asking:
        assert asking.stdin is not None
        assert asking.stdout is not None
        asking.stdin.write(f"{password}\n")
        asking.stdin.flush()
        begun = json.loads(asking.stdout.readline())
        answer, _ = asking.communicate(pyotp.TOTP(begun["secret"]).now() + "\n", timeout=60)
    assert asking.returncode == 0
    return begun["secret"], json.loads(answer)["recovery_codes"]


def test_tokens_by_the_command_line(engine: Node) -> None:
    networks = ("--from", "192.0.2.0/24", "--from", "2001:db8::/32")
    made = willis(engine, "token", "add", "prom", "--role", "viewer", "--for", "1h", *networks)
    credential = f"Bearer {made.stdout.strip()}"
    assert asked(engine, credential).json()["name"] == "token:prom"
    assert asked(engine, credential, "POST", "/drain", json={"where": "x"}).status_code == 403
    assert asked(engine, credential, headers={"Willis-Client": "192.0.3.7"}).status_code == 401
    assert "192.0.2.0/24" in willis(engine, "token", "list").stdout
    assert "viewer" in willis(engine, "token", "show", "prom").stdout
    assert made.stdout.strip() not in willis(engine, "token", "list", "--json").stdout
    willis(engine, "token", "remove", "prom")
    assert asked(engine, credential).status_code == 401
    assert "console" in willis(engine, "whoami").stdout


def test_who_signed_in_stays_so_when_the_engine_dies_and_who_left_stays_out(engine: Node) -> None:
    willis(engine, "user", "add", "eve", "--role", "viewer", stdin=f"{PASSWORD}\n")
    keys = []
    for _ in range(2):
        answer = asked(engine, "", "POST", "/login", json={"name": "eve", "password": PASSWORD})
        keys.append(f"Willis-Session {answer.json()['session']}")
    assert asked(engine, keys[1], "POST", "/logout").status_code == 200
    engine.end(engine.engine, signal.SIGKILL)
    (engine.base / "engine.log").unlink()
    engine.start_engine()
    assert asked(engine, keys[0]).json()["name"] == "eve"
    assert asked(engine, keys[1]).status_code == 401


@pytest.mark.skipif(os.geteuid() != 0, reason="needs other users")
def test_the_web_process_may_open_its_socket_and_nothing_else_and_others_nothing(engine: Node) -> None:
    console, web = engine.run / "engine.sock", engine.run / "web" / "web.sock"
    assert stat.S_IMODE(console.stat().st_mode) == 0o600
    assert stat.S_IMODE(web.stat().st_mode) == 0o660
    assert [_opens(USER, path) for path in (web, console)] == [True, False]
    assert [_opens("daemon", path) for path in (web, console)] == [False, False]


def _opens(user: str, path: Path) -> bool:
    """Whether a process of that user, in its own group only, gets an answer."""
    command = ["setpriv", f"--reuid={user}", "--init-groups", f"--regid={_group(user)}"]
    command += ["curl", "-s", "-o", "/dev/null", "--unix-socket", str(path), "http://engine/api/v1/setup"]
    return subprocess.run(command, timeout=60, check=False).returncode == 0


def _group(user: str) -> str:
    return subprocess.run(["id", "-g", user], capture_output=True, text=True, check=True).stdout.strip()
