"""The command line of another machine: by the web process, with a token."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests import forked
from tests.web.node import PASSWORD, Node

pytestmark = pytest.mark.lab


@pytest.fixture
def token(node: Node, tmp_path: Path) -> Path:
    made = node.console("token", "add", "remote-cli", "--role=viewer", "--for=1d")
    path = tmp_path / "token"
    path.write_text(made["token"] + "\n")
    path.chmod(0o600)
    yield path
    node.console("token", "remove", "remote-cli")


def _ask(
    node: Node, *arguments: str, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    url = f"https://127.0.0.1:{node.port}"
    return forked.Command(arguments, {**os.environ, "WILLIS_URL": url, **environment}, stdin).end(120)


def _fingerprint(node: Node) -> str:
    return node.log("web").rpartition("fingerprint ")[2].split()[0]


def test_the_same_commands_with_the_certificate_or_its_fingerprint(node: Node, token: Path) -> None:
    here = node.console("status")["node"]
    trusts = (
        {"WILLIS_CA": str(node.web_state / "certificate.pem")},
        {"WILLIS_FINGERPRINT": _fingerprint(node)},
        {"WILLIS_FINGERPRINT": _fingerprint(node).replace(":", "").lower()},
    )
    for trust in trusts:
        found = _ask(node, "status", "--json", WILLIS_TOKEN_FILE=str(token), **trust)
        assert found.returncode == 0, found.stderr
        assert json.loads(found.stdout)["node"] == here


def test_a_tokens_rights_end_where_it_says(node: Node, token: Path) -> None:
    found = _ask(
        node,
        "backup",
        "/dev/null",
        "--passphrase-file=/dev/null",
        WILLIS_TOKEN_FILE=str(token),
        WILLIS_FINGERPRINT=_fingerprint(node),
    )
    assert found.returncode == 1
    assert "may not" in found.stderr


def test_ones_own_account_needs_no_token_but_the_password(node: Node) -> None:
    trust = {"WILLIS_FINGERPRINT": _fingerprint(node)}
    found = _ask(node, "me", "sessions", "ann", "--json", stdin=f"{PASSWORD}\n", **trust)
    assert found.returncode == 0, found.stderr
    assert {row["name"] for row in json.loads(found.stdout)["sessions"]} == {"ann"}
    assert _ask(node, "me", "sessions", "ann", stdin="wrong\n", **trust).returncode == 1


def test_a_stranger_in_between_gets_no_token(node: Node, token: Path) -> None:
    for trust in (
        {"WILLIS_FINGERPRINT": "00" * 32},
        {},
        {"WILLIS_CA": "/etc/hostname"},
        {"WILLIS_FINGERPRINT": "x"},
    ):
        found = _ask(node, "status", WILLIS_TOKEN_FILE=str(token), **trust)
        assert found.returncode == 3, found.stdout
        assert "WILLIS_" in found.stderr or "certificate" in found.stderr
        assert token.read_text().strip() not in found.stderr


def test_tokens_lie_where_nobody_else_reads_them(node: Node, token: Path) -> None:
    token.chmod(0o644)
    found = _ask(node, "status", WILLIS_TOKEN_FILE=str(token), WILLIS_FINGERPRINT=_fingerprint(node))
    assert found.returncode == 3
    assert "chmod 600" in found.stderr
    assert _ask(node, "status").returncode == 3
    assert _ask(node, "status", WILLIS_URL="http://127.0.0.1:8443").returncode == 3
