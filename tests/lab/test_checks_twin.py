"""Checks from the document to the verdict: an engine looks at the twin's hosts in six ways."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.drill import Drill

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed"),
]

DOCUMENT = """\
version: 1
site: checks
interfaces:
  eth0: {addresses: [10.60.0.2/24]}
hosts: {s1: 10.60.0.11, s2: 10.60.0.12}
defaults: {check: {interval: 1s, timeout: 1s, dicom: {calling: CHECKER}}}
services:
  Archive:
    vip: 10.60.0.101
    ports: 11112
    application: dicom
    forwarding: proxy
    check: {kind: tcp, deep: {kind: dicom-echo, every: 3}}
    pool: [s1, s2]
  Worklist:
    vip: 10.60.0.102
    ports: 4106
    application: mwl
    forwarding: proxy
    check: {kind: dicom-find}
    pool: [s1, s2]
  Orders:
    vip: 10.60.0.103
    ports: 2575
    application: hl7
    forwarding: proxy
    check: {kind: hl7, hl7: {message: QBP^Q22^QBP_Q21}}
    pool: [s1, s2]
  Studies:
    {vip: 10.60.0.104, ports: 8080, application: mint, forwarding: proxy, check: {kind: mint}, pool: [s1, s2]}
  Viewer:
    vip: 10.60.0.105
    ports: 8081
    application: http
    forwarding: proxy
    check: {kind: http, http: {body: "Served by"}}
    pool: [s1, s2]
  Port: {vip: 10.60.0.106, ports: 8082, forwarding: proxy, pool: [s1, s2]}
"""
SPEAKING = ("Archive", "Worklist", "Orders", "Studies", "Viewer")


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    base = tmp_path_factory.mktemp("t")
    file = base / "site.yaml"
    file.write_text(DOCUMENT)
    drill = Drill(f"t{time.monotonic_ns() % 10**9}", base)
    try:
        drill.lab("up", str(file), "--light", timeout=240)
        yield drill
    finally:
        drill.lab("down")


def verdicts(drill: Drill, host: str) -> dict[str, str]:
    """What the checks of each service say of a host."""
    services = drill.status()["services"]
    return {s["name"]: row["verdict"] for s in services for row in s["servers"] if row["host"] == host}


def until(drill: Drill, host: str, wanted: dict[str, str]) -> None:
    deadline = time.monotonic() + 60
    while (found := verdicts(drill, host)) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.3)


def explained(drill: Drill, where: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(drill.willis("explain", where, "--json"))
    return found


def test_only_checks_that_speak_see_a_frozen_host_and_they_see_it_come_back(twin: Drill) -> None:
    well = dict.fromkeys((*SPEAKING, "Port"), "up")
    until(twin, "s1", well)
    twin.lab("freeze", "s1")
    until(twin, "s1", well | dict.fromkeys(SPEAKING, "hung"))
    until(twin, "s2", well)
    failed = explained(twin, "Archive/s1")["checks"][0]
    assert (failed["kind"], failed["ok"]) == ("dicom-echo", False)
    said = [step["what"] for step in failed["transcript"] if step["sent"]]
    assert said[-1] == "A-ASSOCIATE-RQ CHECKER calling ANY-SCP"
    assert "the application hangs" in failed["decoded"]
    twin.lab("restore", "s1")
    until(twin, "s1", well)


def test_a_killed_host_is_dead_whatever_is_asked(twin: Drill) -> None:
    twin.lab("kill", "s2")
    until(twin, "s2", dict.fromkeys((*SPEAKING, "Port"), "dead"))
    twin.lab("restore", "s2")
    until(twin, "s2", dict.fromkeys((*SPEAKING, "Port"), "up"))
