"""Whatever goes wrong with a change, the last good configuration carries traffic."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from tests.lab.drill import CLIENT, DRILLS, Drill, wait_until
from willis.config.splice import say

pytestmark = pytest.mark.lab

VIP = "10.61.0.101"


def test_a_broken_document_changes_nothing_and_names_every_problem(echoes: Drill) -> None:
    before = echoes.status()["revision"]
    broken = echoes.document().replace("ports: 7001", "ports: 70010").replace("pool: [s1]", "pool: [s9]")
    answer = echoes.apply(broken, check=False)
    assert "exit 1" in answer
    assert "70010" in answer
    assert "s9" in answer
    assert echoes.status()["revision"] == before
    assert sum(echoes.answers("client1", "once", VIP, "7001", "3").values()) == 3


def test_an_interface_that_the_node_lacks_is_refused_by_the_engine(echoes: Drill) -> None:
    before = echoes.status()["revision"]
    answer = echoes.apply(echoes.document().replace("eth0:", "eth7:"), check=False)
    assert "eth7" in answer
    assert "exit 1" in answer
    assert echoes.status()["revision"] == before
    assert sum(echoes.answers("client1", "once", VIP, "7001", "3").values()) == 3


def test_an_apply_cut_by_kill_9_at_any_point_leaves_old_or_new_whole(echoes: Drill) -> None:
    old = echoes.document()
    new = old.replace("ports: 7001", "ports: [7001, 7011]").replace("weight: 30", "weight: 40")
    talker = echoes.start("client1", sys.executable, str(CLIENT), "talk", VIP, "7001", "600")
    try:
        for step in range(8):
            _cut_apply(echoes, new if step % 2 == 0 else old, delay_s=step * 0.06)
            _whole(echoes, old, new)
        assert talker.poll() is None, talker.communicate()[0]
    finally:
        talker.kill()
        echoes.apply(old)


def test_a_change_set_survives_kill_9_and_is_applied_whole_or_not_at_all(echoes: Drill) -> None:
    old = echoes.document()
    number = _staged(echoes)
    _killed(echoes)
    assert _edits(echoes, number) == 2, "each was on the disk before it was answered"
    apply = echoes.begin("changeset", "apply", number)
    time.sleep(0.2)
    _killed(echoes)
    apply.end(60)
    _converged(echoes, echoes.document(), old)
    if _ports(echoes) != _OLD_PORTS:
        assert _ports(echoes) == _NEW_PORTS
        echoes.apply(old)
    if _edits(echoes, number) is None:
        number = _staged(echoes)
    echoes.willis("changeset", "apply", number, "--confirm", "10s")
    assert _edits(echoes, number) is None
    _killed(echoes)
    wait_until(lambda: echoes.status()["trial"] is None, "the trial is over")
    _converged(echoes, old, old)
    assert _ports(echoes) == _OLD_PORTS
    assert sum(echoes.answers("client1", "once", VIP, "7001", "3").values()) == 3


_OLD_PORTS, _NEW_PORTS = (7001, 7002), ([7001, 7011], [7002, 7012])


def _ports(drill: Drill) -> tuple[object, ...]:
    services = say(drill.document())["services"]
    return services["even"]["ports"], services["weighted"]["ports"]


def _staged(drill: Drill) -> str:
    """The number of a change set with one more port for each of two services."""
    number = str(json.loads(drill.willis("changeset", "new", "--json"))["changeset"])
    services = say(drill.document())["services"]
    for name, ports in zip(("even", "weighted"), _NEW_PORTS, strict=True):
        value = json.dumps(services[name] | {"ports": ports})
        drill.willis("changeset", "set", number, "service", name, "-", stdin=value)
    return number


def _edits(drill: Drill, number: str) -> int | None:
    """How many a change set has; None: there is none of this number."""
    rows = json.loads(drill.willis("changeset", "list", "--json"))["changesets"]
    return next((row["staged"] for row in rows if str(row["changeset"]) == number), None)


def _killed(drill: Drill) -> None:
    drill.lab("kill", "lb1", "engine")
    drill.lab("restore", "lb1", "engine")


def _cut_apply(drill: Drill, document: str, delay_s: float) -> None:
    """Apply, and kill the engine that long after the request was sent."""
    apply = drill.begin("apply", "-", stdin=document)
    time.sleep(delay_s)
    drill.lab("kill", "lb1", "engine")
    apply.end(60)
    drill.lab("restore", "lb1", "engine")


def _whole(drill: Drill, old: str, new: str) -> None:
    """Old or new, and clients are served."""
    _converged(drill, old, new)
    assert sum(drill.answers("client1", "once", VIP, "7001", "3").values()) == 3


def _converged(drill: Drill, old: str, new: str) -> None:
    """The running document is one of the two, and no engine differs from it."""
    wait_until(lambda: all(e["ok"] for e in drill.status()["engines"]), "every engine converged")
    running = drill.document()
    assert running in (old, new)
    candidate = Path(drill.base) / "running.yaml"
    candidate.write_text(running)
    wait_until(
        lambda: '"changes": []' in drill.willis("plan", str(candidate), "--json"), "nothing is half-applied"
    )


def test_an_address_that_another_program_holds_is_refused_before_anything_stops(canon: Drill) -> None:
    squatter = canon.start("lb1", sys.executable, "-m", "http.server", "--bind", "10.60.0.114", "8300")
    try:
        before = canon.status()["revision"]
        wait_until(lambda: ":8300" in canon.run("lb1", "ss", "-Hltn"), "somebody listens on port 8300")
        answer = canon.apply(canon.document().replace("ports: 8237", "ports: [8237, 8300]"), check=False)
        assert "exit 1" in answer
        assert "10.60.0.114:8300 is taken" in answer
        assert canon.status()["revision"] == before
        assert "VitreaRead" in canon.run("client1", "curl", "-sSf", "http://10.60.0.114:8237/")
    finally:
        squatter.kill()


def test_kill_9_while_both_layers_change_fails_no_request(canon: Drill) -> None:
    old = canon.document()
    new = old.replace("kind: cookie", "kind: cookie, idle: 45m").replace("timeout: 5m", "timeout: 6m")
    load = canon.start("client1", sys.executable, str(DRILLS / "load.py"), "10.60.0.114", "8237")
    try:
        for step in range(6):
            _cut_apply(canon, new if step % 2 == 0 else old, delay_s=step * 0.15)
            _converged(canon, old, new)
        output, _ = load.communicate("", timeout=60)
    finally:
        load.kill()
        canon.apply(old)
    done, failed = map(int, output.split()[-2:])
    assert failed == 0, output
    assert done > 100


def test_a_change_that_cuts_everybody_off_undoes_itself_though_the_engine_is_killed(canon: Drill) -> None:
    before = canon.document(), _held(canon)
    cut = before[0].replace("10.60.0.114", "10.60.0.199").replace("10.60.0.101", "10.60.0.198")
    canon.apply(cut, "--confirm", "12s")
    assert "exit" in canon.run("client1", "sh", "-c", "curl -sS -m 2 http://10.60.0.114:8237/ || echo exit")
    canon.lab("kill", "lb1", "engine")
    canon.lab("restore", "lb1", "engine")
    wait_until(lambda: canon.status()["trial"] is None, "the trial is over")
    wait_until(lambda: all(e["ok"] for e in canon.status()["engines"]), "every engine converged")
    assert "VitreaRead" in canon.run("client1", "curl", "-sSf", "http://10.60.0.114:8237/")
    assert canon.document() == before[0]
    assert _held(canon) == before[1]
    history = json.loads(canon.willis("history", "--json"))["revisions"]
    assert history[0]["note"] == "nobody confirmed it in time"


def _held(drill: Drill) -> dict[str, str]:
    """What a document makes on the node: files byte for byte, addresses and rules in any order."""
    state = drill.base / drill.name / "lb1/state"
    asked = ("ip -br address show", "ip rule", "nft list ruleset", "sysctl -a --pattern rp_filter")
    return {"haproxy.cfg": (state / "haproxy.cfg").read_text()} | {
        words: "\n".join(sorted(drill.run("lb1", *words.split()).split())) for words in asked
    }
