"""Layer 4 chooses as its schedulers and its persistence say, counted at real servers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab.drill import CLIENT, Drill, wait_until

pytestmark = pytest.mark.lab

VIP = "10.61.0.101"


@contextmanager
def _held(drill: Drill, port: int, count: int) -> Iterator[Counter[str]]:
    """``count`` connections open at once, and how many each server has."""
    client = drill.start("client1", sys.executable, str(CLIENT), "hold", VIP, str(port), str(count))
    assert client.stdout is not None
    try:
        names = Counter[str]()
        while (line := client.stdout.readline()) != "held\n":
            assert line, "the client ended"
            names[line.strip()] += 1
        yield names
        output, _ = client.communicate("", timeout=120)
        assert output == "done\n"
    finally:
        client.kill()


def test_wlc_spreads_sixty_connections_evenly(echoes: Drill) -> None:
    with _held(echoes, 7001, 60) as names:
        assert names == {"s1": 20, "s2": 20, "s3": 20}
        expected = {"s1": 20, "s2": 20, "s3": 20}
        wait_until(lambda: echoes.active("even") == expected, "status counts them as active")
    wait_until(lambda: set(echoes.active("even").values()) == {0}, "closed connections no longer count")


def test_wlc_follows_weights_exactly(echoes: Drill) -> None:
    with _held(echoes, 7002, 60) as names:
        assert names == {"s1": 30, "s2": 20, "s3": 10}


def test_one_client_keeps_its_server_until_the_timeout_has_passed(echoes: Drill) -> None:
    first = echoes.answers("client1", "once", VIP, "7003", "50")
    assert sorted(first.values()) == [50]
    time.sleep(4.5)
    later = Counter[str]()
    for _ in range(3):
        later += echoes.answers("client1", "once", VIP, "7003", "1")
        time.sleep(4.5)
    assert len(later) > 1, "wrr moves a client on once nothing ties it any more"


def test_tied_clients_are_listed_and_can_be_freed(echoes: Drill) -> None:
    sources = echoes.machines()["client2"]["addresses"][:3]
    echoes.answers("client2", "once", VIP, "7004", "3", *sources)
    listed = json.loads(echoes.willis("sessions", "spread", "--json"))["clients"]
    ties = {tie["client"]: tie["host"] for tie in listed if tie["client"] in sources}
    assert len(ties) == 3
    assert all(0 < tie["seconds_left"] <= 300 for tie in listed)
    echoes.willis("sessions", "spread", "--clear", sources[0])
    left = json.loads(echoes.willis("sessions", "spread", "--json"))["clients"]
    assert {tie["client"] for tie in listed} - {tie["client"] for tie in left} == {sources[0]}
    echoes.willis("sessions", "spread", "--clear-all")
    assert json.loads(echoes.willis("sessions", "spread", "--json"))["clients"] == []


def test_persistence_is_renewed_by_use(echoes: Drill) -> None:
    """Eight seconds, twice the time-out. Tried again, since the machine may stand still for that long."""
    assert any(len(echoes.answers("client2", "pace", VIP, "7003", "5")) == 1 for _ in range(3))


def test_sixty_clients_spread_by_weight_and_each_stays(echoes: Drill) -> None:
    sources = echoes.machines()["client1"]["addresses"][:60]
    assert len(sources) == 60
    first = echoes.run("client1", sys.executable, str(CLIENT), "once", VIP, "7004", "60", *sources).split()
    again = echoes.run("client1", sys.executable, str(CLIENT), "once", VIP, "7004", "60", *sources).split()
    assert first == again
    assert Counter(first) == {"s1": 30, "s2": 20, "s3": 10}


def test_the_fallback_server_stands_in_and_steps_back(echoes: Drill) -> None:
    assert echoes.answers("client1", "once", "10.61.0.102", "7005", "5") == {"s1": 5}
    echoes.lab("kill", "s1", "generic")
    try:
        wait_until(lambda: echoes.verdicts("rescued") == {"s1": "dead"}, "s1 is dead")
        wait_until(
            lambda: set(_tolerant(echoes, "10.61.0.102", "7005")) == {"spare"}, "the fallback server answers"
        )
    finally:
        echoes.lab("restore", "s1", "generic")
    wait_until(lambda: set(_tolerant(echoes, "10.61.0.102", "7005")) == {"s1"}, "s1 answers again")
    wait_until(lambda: echoes.verdicts("even")["s1"] == "up", "s1 is back in all its services")


def test_drain_halt_and_online(echoes: Drill) -> None:
    # A verdict is known a moment before the engines act on it.
    wait_until(lambda: "s1" in _tolerant(echoes, VIP, "7001", "6"), "s1 takes connections")
    wait_until(lambda: set(echoes.active("even").values()) == {0}, "no connection counts any more")
    with _held(echoes, 7001, 9) as names:
        assert names["s1"] == 3
        echoes.willis("drain", "even/s1")
        wait_until(lambda: "s1" not in _tolerant(echoes, VIP, "7001", "6"), "s1 takes no new connection")
        wait_until(lambda: echoes.active("even")["s1"] == 3, "s1 has those that it had")
    echoes.willis("halt", "even/s1")
    assert {s["admin"] for s in echoes.status("even")["services"][0]["servers"] if s["host"] == "s1"} == {
        "halt"
    }
    echoes.willis("online", "even/s1")
    wait_until(lambda: "s1" in _tolerant(echoes, VIP, "7001", "6"), "s1 takes connections again")


def _tolerant(drill: Drill, *arguments: str) -> Counter[str]:
    """Who answers now, or nobody."""
    words = [*arguments, "1"] if len(arguments) == 2 else list(arguments)
    try:
        return drill.answers("client1", "once", *words)
    except (AssertionError, subprocess.TimeoutExpired):
        return Counter()


def test_the_graph_shows_the_connections_that_were_made(echoes: Drill) -> None:
    """Rates of a second each: their sum is what there was, give or take when counters were read."""
    echoes.answers("client1", "once", "10.61.0.102", "7005", "200")

    def sums() -> dict[str, float]:
        graph = json.loads(echoes.willis("graph", "rescued", "--since", "60s", "--json"))
        assert graph["step_s"] == 1
        return {name: sum(v or 0.0 for v in each["avg"]) for name, each in graph["metrics"].items()}

    wait_until(lambda: 100 <= sums()["connections"] <= 300, "200 connections are in the graph")
    found = sums()
    assert found["bytes_in"] > found["connections"] * 5 * 40, (
        "five packets of each at least, with their headers"
    )
    assert found["bytes_out"] == 0.0, "answers of direct routing do not pass the node"
