"""The engine needs five capabilities, not root."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.drill import DRILLS, ROOT, Drill, wait_until

pytestmark = pytest.mark.lab

NOBODY = 65534
CAPABILITIES = ",".join(f"+{c}" for c in ("bpf", "perfmon", "net_admin", "net_raw", "net_bind_service"))


@pytest.fixture
def echoes() -> Iterator[Drill]:
    """The echo services, in a place that every user may pass."""
    for path in (ROOT, Path(sys.executable).resolve()):
        closed = [str(p) for p in (path, *path.parents) if not p.stat().st_mode & 0o001]
        if closed:
            pytest.skip(f"an unprivileged user cannot reach {path}: {closed[0]} is closed to others")
    with tempfile.TemporaryDirectory(prefix="willis-rights-") as base:
        Path(base).chmod(0o711)
        with Drill.of(str(DRILLS / "echoes.yaml"), Path(base)) as drill:
            yield drill


def test_an_engine_without_root_adopts_what_runs_and_applies(echoes: Drill) -> None:
    node = echoes.base / echoes.name / "lb1"
    document = echoes.document()
    echoes.lab("kill", "lb1", "engine")
    _give(node, NOBODY)
    engine = echoes.start("lb1", *_as_nobody(node))
    try:
        wait_until(lambda: "exit 0" in echoes.willis("status", check=False), "the engine answers")
        wait_until(lambda: set(echoes.verdicts("even").values()) == {"up"}, "its checks work")
        echoes.apply(document.replace("ports: 7001", "ports: [7001, 7021]"))
        echoes.willis("drain", "even/s1")
        wait_until(lambda: echoes.servers("even")["s1"]["standing"] == "drain", "s1 drains")
        wait_until(lambda: _who_answers(echoes) == {"s2", "s3"}, "s1 takes no new connection")
        echoes.willis("online", "even/s1")
        echoes.apply(document)
        status = Path(f"/proc/{engine.pid}/status").read_text()
        assert f"Uid:\t{NOBODY}" in status
    finally:
        engine.kill()
        engine.communicate()
        _give(node, 0)
        echoes.lab("restore", "lb1", "engine")


def _who_answers(drill: Drill) -> set[str]:
    return set(drill.answers("client1", "once", "10.61.0.101", "7001", "12"))


def _as_nobody(node: Path) -> list[str]:
    return [
        "setpriv",
        f"--reuid={NOBODY}",
        f"--regid={NOBODY}",
        "--clear-groups",
        f"--inh-caps={CAPABILITIES}",
        f"--ambient-caps={CAPABILITIES}",
        sys.executable,
        "-m",
        "willis",
        "engine",
        f"--run-dir={node / 'run'}",
        f"--state-dir={node / 'state'}",
        f"--pin-dir={node / 'bpf' / 'willis'}",
    ]


def _give(node: Path, user: int) -> None:
    """Make ``user`` the owner of the node's directories and pins."""
    node.parent.chmod(0o711)
    for folder, _, files in os.walk(node):
        for path in (Path(folder), *(Path(folder) / name for name in files)):
            os.chown(path, user, user, follow_symlinks=False)
