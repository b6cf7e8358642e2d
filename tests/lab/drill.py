"""A twin in a test: built and asked only by the public commands, torn down whatever happens."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import forked
from willis.lab import probe

DRILLS = Path(__file__).parent
ROOT = DRILLS.parent.parent
WILLIS = [sys.executable, "-m", "willis"]
CLIENT = DRILLS / "client.py"


class Drill:
    """One twin, named after its directory so that two runs cannot collide."""

    def __init__(self, name: str, base: Path) -> None:
        self.name = name
        self.base = base
        self._environment = {
            # Ours come last: pynetdicom has a storescu of its own, and dcmtk's is meant.
            "PATH": f"/usr/sbin:/usr/bin:/sbin:/bin:{Path(sys.executable).parent}",
            "HOME": str(Path.home()),
            "WILLIS_LAB_DIR": str(base),
        }

    @classmethod
    @contextmanager
    def of(cls, what: str, base: Path, *options: str) -> Iterator[Drill]:
        lacking = probe.missing_for_full() + probe.missing_for_traffic()
        if lacking:
            pytest.skip(f"no full twin can be built here; missing: {'; '.join(lacking)}")
        drill = cls(f"t{time.monotonic_ns() % 10**9}", base)
        try:
            drill.lab("up", what, *options, timeout=240)
            yield drill
        finally:
            drill.lab("down")

    def lab(self, verb: str, *arguments: str, timeout: float = 120, check: bool = True) -> str:
        """``willis lab VERB``."""
        return self._willis("lab", verb, "--name", self.name, *arguments, timeout=timeout, check=check)

    def willis(self, *arguments: str, timeout: float = 120, check: bool = True, stdin: str = "") -> str:
        """A ``willis`` command, as an administrator types it on this machine."""
        return self._willis(*arguments, timeout=timeout, check=check, stdin=stdin)

    def status(self, service: str | None = None) -> dict[str, Any]:
        return json.loads(self.willis("status", *([service] if service else []), "--json"))

    def servers(self, service: str) -> dict[str, dict[str, Any]]:
        """The servers of one service by host."""
        return {s["host"]: s for s in self.status(service)["services"][0]["servers"]}

    def verdicts(self, service: str) -> dict[str, str]:
        return {host: s["verdict"] for host, s in self.servers(service).items()}

    def active(self, service: str) -> dict[str, int]:
        return {host: s["sessions"]["active"] for host, s in self.servers(service).items()}

    def machines(self) -> dict[str, dict[str, Any]]:
        return {m["name"]: m for m in json.loads(self.lab("status", "--json"))["machines"]}

    def ledger(self, service: str, *, what: str | None = None) -> list[dict[str, Any]]:
        """The ledger lines of one service over all hosts, each with its host, in the order of time."""
        found = []
        for file in (self.base / self.name).glob("*/ledger/*.jsonl"):
            for line in file.read_text().splitlines(keepends=True):
                if not line.endswith("\n"):
                    continue  # it is being written
                entry = json.loads(line)
                if service in entry["service"].split("+") and what in (None, entry["what"]):
                    found.append(entry | {"host": file.parent.parent.name})
        return sorted(found, key=lambda entry: entry["at"])

    def document(self) -> str:
        """The running document."""
        revision = self.status()["revision"]
        return json.loads(self.willis("history", str(revision), "--json"))["document"]

    def apply(self, document: str, *options: str, check: bool = True) -> str:
        return self.willis("apply", "-", *options, stdin=document, check=check)

    def inside(self, machine: str, argv: list[str]) -> list[str]:
        """The words that run ``argv`` on a machine of the twin."""
        return ["nsenter", f"--net=/run/netns/wl-{self.name}-{machine}", "--", *argv]

    def run(self, machine: str, *argv: str, timeout: float = 120) -> str:
        """Run a command on a machine; its output. It must succeed."""
        done = subprocess.run(
            self.inside(machine, list(argv)),
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self._environment,
            check=False,
        )
        assert done.returncode == 0, f"{argv}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, machine: str, *argv: str) -> subprocess.Popen[str]:
        """Start a command on a machine."""
        return subprocess.Popen(
            self.inside(machine, list(argv)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._environment,
        )

    def answers(self, machine: str, *arguments: str, timeout: float = 120) -> Counter[str]:
        """How often each server answered the client program (see client.py)."""
        lines = self.run(machine, sys.executable, str(CLIENT), *arguments, timeout=timeout).split()
        return Counter(lines)

    def begin(self, *arguments: str, stdin: str = "") -> forked.Command:
        """A ``willis`` command that is not waited for."""
        socket = str(self.base / self.name / "lb1/run/engine.sock")
        return forked.Command(arguments, self._environment | {"WILLIS_SOCKET": socket}, stdin)

    def _willis(self, *arguments: str, timeout: float, check: bool, stdin: str = "") -> str:
        done = self.begin(*arguments, stdin=stdin).end(timeout)
        text = f"willis {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert not check or done.returncode == 0, text
        return done.stdout if check else text


def wait_until(condition: Callable[[], bool], what: str, limit: float = 60) -> None:
    """Poll for a condition with a generous limit."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit} s: {what}"
        time.sleep(0.1)
