"""The whole twin by its own commands: build, send, judge, break, mend, and leave nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import forked
from tests.lab.drill import wait_until
from willis.lab import netns, probe

pytestmark = pytest.mark.lab

Done = subprocess.CompletedProcess[str]


@pytest.fixture
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short: unix sockets live below it."""
    return tmp_path_factory.mktemp("t")


@pytest.fixture
def name(base: Path) -> Iterator[str]:
    found = f"d{os.getpid()}"
    yield found
    lab(base, "down", "--name", found)


def lab(base: Path, *arguments: str, environment: dict[str, str] | None = None) -> Done:
    own = os.environ | {"WILLIS_LAB_DIR": str(base)} | (environment or {})
    return forked.Command(["lab", *arguments], own).end(240)


def need(lacking: list[str]) -> None:
    if lacking:
        pytest.skip(f"not possible here; missing: {'; '.join(lacking)}")


def proved(done: Done, base: Path, name: str) -> None:
    text = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, text
    assert "32 of 32 exchanges proved" in done.stdout, text
    assert netns.namespaces(name) == {}
    assert not (base / name).exists()


def test_the_demo_proves_all_sixteen_services_and_leaves_nothing(base: Path, name: str) -> None:
    need(probe.missing_for_full() + probe.missing_for_any() + probe.missing_for_traffic())
    done = lab(base, "demo", "--check", "--name", name)
    proved(done, base, name)
    assert done.stdout.count("L4 DR") == 11
    assert done.stdout.count("L7 proxy") == 5


def test_orthanc_serves_behind_the_same_services(base: Path, name: str) -> None:
    need(probe.missing_for_full() + probe.missing_for_traffic() + probe.missing_for_orthanc())
    proved(lab(base, "demo", "--check", "--name", name, "--with", "orthanc"), base, name)


def test_the_light_demo_proves_them_too_and_says_how_layer_4_is_carried(base: Path, name: str) -> None:
    need(probe.missing_for_any() + probe.missing_for_traffic())
    done = lab(base, "demo", "--check", "--name", name, environment={"WILLIS_TWIN": "light"})
    proved(done, base, name)
    assert done.stdout.count("L4 by HAProxy (light twin)") == 11


def test_traffic_through_a_broken_twin_is_called_broken(base: Path, name: str) -> None:
    need(probe.missing_for_any() + probe.missing_for_traffic())
    assert lab(base, "up", "--light", "--name", name).returncode == 0
    for host in ("vna1", "vna2", "vna3"):
        lab(base, "kill", host, "hl7", "--name", name)
    done = lab(base, "traffic", "--json", "--name", name)
    rows = json.loads(done.stdout)["rows"]
    assert done.returncode == 1
    assert {row["ok"] for row in rows if "HL7" in row["service"]} == {False}
    assert {row["ok"] for row in rows if "HL7" not in row["service"]} == {True}
    assert all(row["reason"] for row in rows if not row["ok"])


def test_the_nodes_pieces_are_killed_and_restored_by_name(base: Path, name: str) -> None:
    need(probe.missing_for_full() + probe.missing_for_any())
    assert lab(base, "up", "--name", name).returncode == 0
    assert lab(base, "kill", "lb1", "engine", "--name", name).returncode == 0
    assert pieces(base, name) == {"engine": "killed", "haproxy": "running"}
    assert lab(base, "restore", "lb1", "engine", "--name", name).returncode == 0
    wait_until(lambda: set(pieces(base, name).values()) == {"running"}, "the engine runs again")
    # An engine at work would start HAProxy anew before anybody had seen it gone.
    assert lab(base, "freeze", "lb1", "engine", "--name", name).returncode == 0
    assert lab(base, "kill", "lb1", "haproxy", "--name", name).returncode == 0
    assert pieces(base, name) == {"engine": "frozen", "haproxy": "killed"}
    assert lab(base, "restore", "lb1", "--name", name).returncode == 0
    wait_until(lambda: set(pieces(base, name).values()) == {"running"}, "both run again")
    asked = ("exec", "lb1", "--name", name, "--", sys.executable, "-m", "willis", "status", "--json")

    def states() -> set[str]:
        return {service["state"] for service in json.loads(lab(base, *asked).stdout)["services"]}

    wait_until(lambda: states() == {"up"}, "all services are up")


def pieces(base: Path, name: str) -> dict[str, str]:
    machines = json.loads(lab(base, "status", "--json", "--name", name).stdout)["machines"]
    node = next(machine for machine in machines if machine["name"] == "lb1")
    return {piece["name"]: piece["state"] for piece in node["pieces"]}
