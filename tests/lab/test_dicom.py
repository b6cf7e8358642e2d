"""Real associations: the 500-slice CT survives all that may happen around it, and a drain lets it finish."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.lab.drill import Drill, wait_until
from willis.lab import data

pytestmark = pytest.mark.lab

VIP, PORT = "10.60.0.101", "11112"
SLICES = 500


def _stored(drill: Drill, since: int) -> list[dict[str, str]]:
    return drill.ledger("DicomRouting", what="C-STORE")[since:]


def test_the_ct_arrives_whole_while_a_server_dies_documents_change_and_the_engine_is_killed(
    canon: Drill,
) -> None:
    files = data.ct(SLICES) * 2  # twice over one association, so that it lasts long enough
    before = len(_stored(canon, 0))
    document = canon.document()
    sender = canon.start("client1", "storescu", VIP, PORT, *map(str, files))
    try:
        wait_until(lambda: len(_stored(canon, before)) > 5, "the first slices arrived")
        home = _stored(canon, before)[0]["host"]
        other = next(host for host in ("vna1", "vna2", "vna3") if host != home)
        canon.lab("kill", other)
        canon.lab("kill", "lb1", "engine")
        assert sender.poll() is None, "the study is still on its way"
        canon.lab("restore", "lb1", "engine")
        for number in range(10):
            canon.apply(_changed(document, number))
        canon.lab("restore", other)
        output, _ = sender.communicate(timeout=240)
        assert sender.returncode == 0, output
    finally:
        sender.kill()
        canon.apply(document)
    stored = _stored(canon, before)
    assert {entry["host"] for entry in stored} == {home}
    assert Counter(entry["digest"] for entry in stored) == Counter(map(data.digest, files))
    wait_until(lambda: canon.verdicts("DicomRouting")[other] == "up", f"{other} is back")


def test_a_drained_host_finishes_its_association_and_new_clients_go_elsewhere(
    canon: Drill,
) -> None:
    files = data.ct(SLICES)[:200]
    before = len(_stored(canon, 0))
    sender = canon.start("client1", "storescu", VIP, PORT, *map(str, files))
    try:
        wait_until(lambda: len(_stored(canon, before)) > 2, "the association runs")
        home = _stored(canon, before)[0]["host"]
        canon.willis("drain", home)
        wait_until(lambda: canon.servers("DicomRouting")[home]["standing"] == "drain", f"{home} drains")
        wait_until(lambda: home not in _who_answers(canon), f"new clients do not come to {home}")
        output, _ = sender.communicate(timeout=240)
        assert sender.returncode == 0, output
        assert {entry["host"] for entry in _stored(canon, before)} == {home}
        wait_until(lambda: canon.active("DicomRouting")[home] == 0, "nothing is left on the drained host")
        canon.willis("halt", home)
        canon.run("client1", "echoscu", VIP, PORT)
    finally:
        sender.kill()
        canon.willis("online", home)
    assert {s["admin"] for s in canon.servers("VitreaRead").values()} == {"online"}


def test_a_tomosynthesis_object_arrives_byte_identical(canon: Drill) -> None:
    (file,) = data.tomosynthesis(5)
    canon.run("client2", "storescu", "-R", "10.60.0.102", PORT, str(file), timeout=120)
    assert canon.ledger("DicomInternal", what="C-STORE")[-1]["digest"] == data.digest(file)


def test_a_drain_that_leaves_a_service_without_servers_is_refused(canon: Drill) -> None:
    canon.willis("drain", "vna1")
    canon.willis("drain", "vna2")
    try:
        refusal = canon.willis("drain", "vna3", check=False)
        assert "exit 1" in refusal
        assert "last server" in refusal
        assert canon.servers("VitreaRead")["vna3"]["admin"] == "online"
        assert canon.servers("DicomRouting")["vna3"]["admin"] == "online"
    finally:
        canon.willis("online", "vna1")
        canon.willis("online", "vna2")


def test_drains_survive_a_restart_of_the_engine_and_an_apply(canon: Drill) -> None:
    document = canon.document()
    canon.willis("drain", "vna1")
    try:
        canon.lab("kill", "lb1", "engine")
        canon.lab("restore", "lb1", "engine")
        canon.apply(_changed(document, 3))
        for service in ("DicomRouting", "VitreaRead"):
            assert canon.servers(service)["vna1"]["admin"] == "drain"
    finally:
        canon.willis("online", "vna1")
        canon.apply(document)


def _who_answers(drill: Drill) -> set[str]:
    """The hosts that eight new clients come to."""
    before = len(drill.ledger("DicomRouting", what="C-ECHO"))
    for client in ("client1", "client2") * 4:
        drill.run(client, "echoscu", VIP, PORT)
    answered = drill.ledger("DicomRouting", what="C-ECHO")[before:]
    assert len(answered) == 8
    return {entry["host"] for entry in answered}


def _changed(document: str, number: int) -> str:
    changed = document.replace("timeout: 5m", f"timeout: {301 + number}s", 1)
    assert changed != document
    return changed
