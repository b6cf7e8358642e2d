"""Every layer-4 mode in both families, one-arm and two-arm: schedules alike, survives alike.

One twin serves dr, nat and snat side by side. Connections that were open before a drain,
ten applies and a killed engine must still talk to their server afterwards.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.lab.drill import CLIENT, Drill, wait_until

pytestmark = pytest.mark.lab

_LONGEST_TALK_S = 300
MODES = ("dr", "nat", "snat")
_SERVICE = """\
  {mode}:
    vip: {vip}
    ports: {port}
    forwarding: {mode}
    scheduler: wrr
    pool: [{{host: s1, weight: 30}}, {{host: s2, weight: 20}}, {{host: s3, weight: 10}}]
  {mode}-sticky:
    vip: {vip}
    ports: {sticky}
    forwarding: {mode}
    scheduler: wrr
    persistence: {{kind: source-ip, timeout: 5m}}
    pool: [s1, s2, s3]
"""
_SITE = """\
version: 1
site: modes
interfaces:
  eth0: {{addresses: [{net}2/{bits}]}}
hosts: {{s1: "{net}11", s2: "{net}12", s3: "{net}13"}}
defaults:
  check: {{interval: 1s, timeout: 2s, rise: 2, fall: 2}}
services:
"""


def _document(family: int) -> str:
    net, bits = ("10.63.0.", 24) if family == 4 else ("2001:db8:63::", 64)
    head = _SITE.format(net=net, bits=bits)
    return head.replace(f"[{net}2/{bits}]", f'["{net}2/{bits}"]') + "".join(
        _SERVICE.format(mode=mode, vip=f'"{net}{101 + n}"', port=7001 + n, sticky=7011 + n)
        for n, mode in enumerate(MODES)
    )


@dataclass(frozen=True)
class Place:
    """A twin of one family and topology."""

    drill: Drill

    def where(self, service: str) -> tuple[str, str]:
        """VIP and port, as the node serves them now."""
        found = self.drill.status(service)["services"][0]
        return found["vip"], str(found["ports"][0])

    def answers(self, service: str, count: int) -> list[str]:
        return sorted(self.drill.answers("client1", "once", *self.where(service), str(count)).elements())

    def now(self, service: str) -> set[str]:
        """Who answers new connections now; nobody while one meets a dead server."""
        try:
            return set(self.answers(service, 6))
        except (AssertionError, subprocess.TimeoutExpired):
            return set()

    def talk(self, service: str) -> subprocess.Popen[str]:
        words = (sys.executable, str(CLIENT), "talk", *self.where(service), str(_LONGEST_TALK_S))
        return self.drill.start("client1", *words)


@pytest.fixture(
    scope="module",
    params=[(family, topology) for family in (4, 6) for topology in ("one-arm", "two-arm")],
    ids=lambda p: f"ipv{p[0]}-{p[1]}",
)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    family, topology = request.param
    base = tmp_path_factory.mktemp("m")
    (base / "site.yaml").write_text(_document(family))
    with Drill.of(str(base / "site.yaml"), base, "--topology", topology) as drill:
        yield Place(drill)


@pytest.mark.parametrize("mode", MODES)
def test_weights_and_persistence_are_obeyed(place: Place, mode: str) -> None:
    assert place.answers(mode, 12) == ["s1"] * 6 + ["s2"] * 4 + ["s3"] * 2
    assert len(set(place.answers(f"{mode}-sticky", 9))) == 1


@pytest.mark.parametrize("mode", MODES)
def test_the_server_sees_the_client_but_for_snat(place: Place, mode: str) -> None:
    place.answers(mode, 1)
    machines = place.drill.machines()
    seen = place.drill.ledger(mode)[-1]["client"]
    assert seen in machines["lb1" if mode == "snat" else "client1"]["addresses"]


def test_open_connections_survive_a_drain_ten_applies_and_a_killed_engine(place: Place) -> None:
    document = place.drill.document()
    places = [place.where(mode) for mode in MODES]
    talkers = {mode: [place.talk(mode) for _ in range(3)] for mode in MODES}
    try:
        place.drill.willis("drain", "s1")
        for mode in MODES:
            wait_until(lambda mode=mode: place.now(mode) == {"s2", "s3"}, f"{mode} keeps new ones from s1")
        for number in range(10):
            place.drill.apply(document.replace("timeout: 5m", f"timeout: {301 + number}s"))
        place.drill.lab("kill", "lb1", "engine")
        clients = [place.drill.answers("client1", "once", *where, "3") for where in places]
        assert all(set(each) <= {"s2", "s3"} for each in clients), "traffic goes on"
        place.drill.lab("restore", "lb1", "engine")
        place.drill.willis("online", "s1")
        for mode, each in talkers.items():
            outputs = [talker.communicate(timeout=60)[0].split() for talker in each]
            assert [words[-1] for words in outputs] == ["done"] * 3, (mode, outputs)
            assert all(len(set(words[:-1])) == 1 for words in outputs), mode
    finally:
        for each in talkers.values():
            for talker in each:
                talker.kill()
        place.drill.apply(document)


def test_a_dead_server_takes_no_new_connection_in_any_mode(place: Place) -> None:
    place.drill.lab("kill", "s3", "generic")
    try:
        for mode in MODES:
            wait_until(lambda mode=mode: place.now(mode) == {"s1", "s2"}, f"{mode} leaves s3 out")
    finally:
        place.drill.lab("restore", "s3", "generic")
    for mode in MODES:
        wait_until(lambda mode=mode: place.now(mode) == {"s1", "s2", "s3"}, f"{mode} takes s3 back")
