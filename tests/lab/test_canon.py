"""The Canon deployment carries real imaging traffic: all 16 services, both clients."""

from __future__ import annotations

import json

import pytest

from tests.lab.drill import Drill, wait_until

pytestmark = pytest.mark.lab

_DOWNLOAD = 20_000_000


def test_all_sixteen_services_are_up_and_serve_real_traffic(canon: Drill) -> None:
    services = canon.status()["services"]
    assert [s["state"] for s in services] == ["up"] * 16
    assert [s["forwarding"] for s in services] == ["dr"] * 11 + ["proxy"] * 5
    rows = json.loads(canon.lab("traffic", "--json", timeout=240))["rows"]
    assert {row["service"] for row in rows} == {s["name"] for s in services}
    assert [row for row in rows if not row["ok"]] == []


def test_in_dr_the_server_sees_the_client_itself(canon: Drill) -> None:
    canon.run("client2", "echoscu", "-aet", "SEEN", "10.60.0.101", "11112")
    entry = canon.ledger("DicomRouting", what="C-ECHO")[-1]
    assert entry["client"] in canon.machines()["client2"]["addresses"]


def test_in_dr_the_reply_does_not_pass_the_node(canon: Drill) -> None:
    before = _passed(canon)
    canon.run("client1", "curl", "-sSfo", "/dev/null", f"http://10.60.0.108:8080/size?bytes={_DOWNLOAD}")
    assert _passed(canon) - before < _DOWNLOAD / 10


def test_in_layer_7_the_reply_passes_the_node_and_the_server_learns_the_client(canon: Drill) -> None:
    before = _passed(canon)
    canon.run("client1", "curl", "-sSfo", "/dev/null", f"http://10.60.0.114:8237/size?bytes={_DOWNLOAD}")
    assert _passed(canon) - before > _DOWNLOAD
    page = canon.run("client1", "curl", "-sSf", "-H", "X-Forwarded-For: 6.6.6.6", "http://10.60.0.114:8237/")
    client = canon.machines()["client1"]["addresses"][0]
    assert f'<b id="client">{client}</b>' in page


def test_a_server_killed_takes_no_new_connection_and_its_reason_is_explained(canon: Drill) -> None:
    canon.lab("kill", "vna2", "hl7")
    try:
        wait_until(lambda: canon.verdicts("HL7Live")["vna2"] == "dead", "vna2's HL7 receiver is dead")
        found = json.loads(canon.willis("explain", "HL7Live/vna2", "--json"))
        assert "refused" in found["sentence"]
        assert [c["ok"] for c in found["checks"]] == [False, True]
        assert canon.verdicts("DicomRouting")["vna2"] == "up"
    finally:
        canon.lab("restore", "vna2", "hl7")
    wait_until(lambda: canon.verdicts("HL7Live")["vna2"] == "up", "vna2's HL7 receiver is back")


def test_checks_leave_no_trace_at_the_servers(canon: Drill) -> None:
    node = canon.machines()["lb1"]["addresses"][0]
    for service in ("DicomRouting", "HL7Live", "MWL"):
        assert [e for e in canon.ledger(service) if e["client"] == node] == []


def _passed(drill: Drill) -> int:
    """Bytes that the node sent on its wire."""
    link = json.loads(drill.run("lb1", "ip", "-s", "-j", "link", "show", "dev", "eth0"))
    return int(link[0]["stats64"]["tx"]["bytes"])
