"""What a plan says of open sessions is what becomes of them, in layer 4 and layer 7.

One twin, two changes: one that keeps every connection, and one that ends some. What the plan
and the apply said must be, service by service, the number of connections that no longer answer.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.drill import DRILLS, Drill, wait_until

pytestmark = pytest.mark.lab

EACH = 2
PATIENCE_S = 30
CUT_S = 3
"""So long a connection that was cut is listened to; one that is only slow answers when it is asked again."""

HEAD = """\
version: 1
site: impact
interfaces:
  eth0: {addresses: [10.65.0.2/24]}
hosts: {s1: 10.65.0.11, s2: 10.65.0.12}
defaults:
  check: {interval: 5s, timeout: 5s, rise: 1, fall: 3}
services:
"""


def document(services: dict[str, str], pool: str, scheduler: str) -> str:
    lines = (
        f"  {name}: {{{text}, scheduler: {scheduler}, pool: {pool}}}\n" for name, text in services.items()
    )
    return HEAD + "".join(lines)


def service(vip: int, port: int, forwarding: str) -> str:
    return f"vip: 10.65.0.{vip}, ports: {port}, forwarding: {forwarding}"


FIRST = {
    "direct": service(101, 7001, "dr"),
    "removed": service(101, 7002, "dr"),
    "translated": service(102, 7003, "nat"),
    "proxied": service(103, 7004, "proxy"),
    "taken": service(103, 7005, "proxy"),
    "to-direct": service(101, 7006, "proxy"),
    "leaving": service(104, 7007, "dr"),
    "leaving-too": service(105, 7008, "proxy"),
}
SECOND = {name: text for name, text in FIRST.items() if name not in ("removed", "taken")} | {
    "proxied": service(103, 7005, "proxy"),
}
"""One service goes and its VIP stays; another one's port passes to a third."""
THIRD = {name: text for name, text in SECOND.items() if not name.startswith("leaving")} | {
    "translated": service(102, 7003, "dr"),
    "to-direct": service(101, 7006, "dr"),
}
"""Two VIPs leave, the last NAT service becomes DR, and a port passes from the proxy to layer 4."""


class Held:
    """Connections to every service of ``FIRST``."""

    def __init__(self, drill: Drill) -> None:
        self._places = {name: _place(text) for name, text in FIRST.items()}
        words = (sys.executable, str(DRILLS / "held.py"), str(EACH), *self._places.values())
        self._process: subprocess.Popen[str] = drill.start("client1", *words)

    def answering(self, patience_s: float) -> dict[str, int]:
        """How many of each service's connections answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(patience_s, file=self._process.stdin, flush=True)
        found = json.loads(self._process.stdout.readline())
        return {name: found[place] for name, place in self._places.items()}

    def cut(self) -> dict[str, int]:
        """How many of each service's connections do not answer, where it is any."""
        return {name: EACH - left for name, left in self.answering(CUT_S).items() if left < EACH}

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def _place(text: str) -> str:
    words = text.replace(",", "").split()
    return f"{words[1]}:{words[3]}"


@pytest.fixture
def drill(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    site = tmp_path / "site.yaml"
    site.write_text(document(FIRST, "[s1, s2]", "wrr"))
    with Drill.of(str(site), tmp_path_factory.mktemp("i")) as found:
        yield found


def _by_service(answer: dict[str, Any], what: str) -> dict[str, Any]:
    return {row["service"]: row[what] for row in answer["impact"]}


def test_what_the_plan_says_of_sessions_is_what_happens_to_them(drill: Drill) -> None:
    wait_until(lambda: all(s["state"] == "up" for s in drill.status()["services"]), "all serve")
    held = Held(drill)
    try:
        assert set(held.answering(PATIENCE_S).values()) == {EACH}
        wait_until(
            lambda: all(s["sessions"]["active"] == EACH for s in drill.status()["services"]),
            "all are counted",
        )

        second = document(SECOND, "[s2]", "wlc")
        plan = json.loads(drill.willis("plan", "-", "--json", stdin=second))
        assert _by_service(plan, "sessions") == dict.fromkeys(sorted(FIRST), EACH)
        assert set(_by_service(plan, "effect").values()) == {"new-sessions"}
        assert "s1 leaves and finishes its 1 session" in _by_service(plan, "why")["direct"]
        done = json.loads(drill.apply(second, "--checksum", plan["checksum"], "--json"))
        assert _by_service(done, "effect") == _by_service(plan, "effect")
        assert held.answering(PATIENCE_S) == dict.fromkeys(FIRST, EACH)

        third = document(THIRD, "[s2]", "wlc")
        plan = json.loads(drill.willis("plan", "-", "--json", stdin=third))
        drops = {name: count for name, count in _by_service(plan, "drops").items() if count}
        assert drops == dict.fromkeys(("leaving", "leaving-too", "to-direct", "translated"), EACH)
        assert {name for name, effect in _by_service(plan, "effect").items() if effect == "none"} == {
            "direct",
            "proxied",
        }
        done = json.loads(drill.apply(third, "--checksum", plan["checksum"], "--json"))
        assert _by_service(done, "drops") == _by_service(plan, "drops")
        drill.run("net", "ip", "neigh", "flush", "all")  # as a router does by itself after a while
        wait_until(lambda: held.cut() == drops, f"{drops} are cut, and no other")
    finally:
        held.close()
