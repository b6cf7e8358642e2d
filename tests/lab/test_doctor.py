"""The doctor finds what is wrong around the node, and its remedies, typed as printed, mend it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.lab.drill import Drill, wait_until

pytestmark = pytest.mark.lab

Json = dict[str, Any]

_SOON_S = 10.0
"""A stolen VIP must be named within this time (fault matrix, 7)."""


RETURNS = """
version: 1
site: returns
interfaces:
  eth0: {addresses: [10.60.0.2/24, "2001:db8:60::2/64"]}
hosts:
  both: 10.60.0.11
  only: 10.60.0.12
  both6: "2001:db8:60::11"
  only6: "2001:db8:60::12"
services:
  Direct: {vip: 10.60.0.101, ports: 80, application: http, forwarding: dr, pool: [both]}
  Nat: {vip: 10.60.0.102, ports: 80, application: http, forwarding: nat, pool: [both, only]}
  Direct6: {vip: "2001:db8:60::101", ports: 80, application: http, forwarding: dr, pool: [both6]}
  Nat6: {vip: "2001:db8:60::102", ports: 80, application: http, forwarding: nat, pool: [both6, only6]}
"""


@pytest.fixture(scope="module")
def returning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """Servers of DR and NAT in both families."""
    site = tmp_path_factory.mktemp("returning") / "site.yaml"
    site.write_text(RETURNS)
    with Drill.of(str(site), tmp_path_factory.mktemp("r")) as drill:
        yield drill


def test_a_clean_site_has_no_error_and_no_application_noticed_the_visit(canon: Drill) -> None:
    before = _noticed(canon)

    def is_clean() -> bool:
        report = json.loads(canon.willis("doctor", "--json"))
        assert report["passed_over"] == []
        return [f for f in report["findings"] if f["severity"] != "note"] == []

    wait_until(is_clean, "nothing is wrong")
    assert _noticed(canon) == before


def test_a_server_that_answers_arp_for_vips_is_named_and_the_printed_fix_silences_it(canon: Drill) -> None:
    _run(canon, "vna2", "sysctl -w net.ipv4.conf.all.arp_ignore=0 net.ipv4.conf.eth0.arp_ignore=0")
    before = _neighbours(canon, "vna1")
    finding = _error(canon, "answers ARP")
    assert any(_seconds_to_name(canon, "answers ARP") < _SOON_S for _ in range(3)), "on a busy machine too"
    mac = json.loads(canon.run("vna2", "ip", "-j", "link", "show", "dev", "eth0"))[0]["address"]
    assert finding["where"] == "vna2"
    assert finding["evidence"].startswith(mac)
    assert "10.60.0.101" in finding["evidence"] and "10.60.0.111" in finding["evidence"]
    assert canon.willis("doctor", check=False).startswith("willis doctor: exit 1")
    # The thief is believed by those who ask by themselves; the doctor's question taught nobody.
    learnt = _neighbours(canon, "vna1").items() - before.items()
    assert not [address for address, _ in learnt if address.startswith("10.60.0.1") and len(address) > 10]
    _apply(canon, "vna2", finding)
    _mended(canon)


def test_a_vip_missing_on_a_loopback_is_named_and_the_printed_fix_brings_it_back(canon: Drill) -> None:
    _run(canon, "vna3", "ip address del 10.60.0.103/32 dev lo")
    finding = _error(canon, "does not own")
    assert finding["where"] == "vna3"
    assert "VIP 10.60.0.103 " in finding["what"]
    _apply(canon, "vna3", finding)
    _mended(canon)


def test_a_router_for_the_vip_is_not_taken_for_its_owner(canon: Drill) -> None:
    """A server that forwards would send the SYN back to the node, which would schedule it to another."""
    _run(canon, "vna3", "sysctl -w net.ipv4.ip_forward=1", "ip address del 10.60.0.103/32 dev lo")
    try:
        assert "as a router would" in _error(canon, "does not own")["evidence"]
    finally:
        _run(canon, "vna3", "sysctl -w net.ipv4.ip_forward=0", "ip address replace 10.60.0.103/32 dev lo")


def test_an_address_of_a_machine_that_nobody_knows_is_named_by_its_mac(canon: Drill) -> None:
    """The twin's switch takes a VIP: no host of the document, and the node's gateway."""
    bridge = _bridge(canon)
    _run(canon, "net", f"ip address add 10.60.0.105/32 dev {bridge}")
    try:
        finding = _error(canon, "10.60.0.105")
        assert "proxy ARP" in finding["what"]
    finally:
        _run(canon, "net", f"ip address del 10.60.0.105/32 dev {bridge}")


def test_an_application_that_does_not_listen_on_the_vip_is_told_from_a_missing_vip(canon: Drill) -> None:
    canon.lab("kill", "vna2", "hl7")
    try:
        finding = _error(canon, "nothing listens")
        assert finding["where"] == "vna2"
        assert "10.60.0.103:2398" in finding["evidence"]
        assert "nor on its own address" in finding["what"]
    finally:
        canon.lab("restore", "vna2", "hl7")


def test_answers_that_go_by_the_router_are_missed_and_the_printed_gateway_leads_them_back(
    returning: Drill,
) -> None:
    _mended(returning)
    _run(returning, "only", "ip route replace default via 10.60.0.254")
    finding = _error(returning, "does not come back by this node")
    assert finding["where"] == "only"
    _apply(returning, "only", finding)
    _mended(returning)


@pytest.mark.parametrize(("host", "ip"), [("both", "ip"), ("both6", "ip -6")])
def test_of_a_server_of_both_modes_only_its_own_address_is_led_back(
    returning: Drill, host: str, ip: str
) -> None:
    _run(returning, host, f"{ip} rule del table 100")
    finding = _error(returning, "does not come back by this node")
    assert finding["where"] == host
    _apply(returning, host, finding)
    _mended(returning)


def test_in_ipv6_a_server_that_answers_solicitations_is_named_and_the_printed_fix_silences_it(
    returning: Drill,
) -> None:
    _run(returning, "both6", "ip -6 address add 2001:db8:60::101/128 dev eth0 nodad")
    finding = _error(returning, "answers neighbour solicitations")
    assert finding["where"] == "both6"
    _apply(returning, "both6", finding)
    _mended(returning)


def test_in_ipv6_a_vip_missing_on_a_loopback_is_named_and_the_printed_fix_brings_it_back(
    returning: Drill,
) -> None:
    _run(returning, "both6", "ip -6 address del 2001:db8:60::101/128 dev lo")
    finding = _error(returning, "does not own VIP 2001:db8:60::101 ")
    _apply(returning, "both6", finding)
    _mended(returning)


def test_a_wire_that_carries_less_than_the_node_sends_is_named(returning: Drill) -> None:
    _run(returning, "only", "ip link set eth0 mtu 1400")
    try:
        wait_until(lambda: _warnings(returning) == [("only", True)], "the wire is named")
    finally:
        _run(returning, "only", "ip link set eth0 mtu 1500")


def test_what_the_node_itself_lacks_is_named(returning: Drill) -> None:
    _run(returning, "lb1", "ip address del 10.60.0.2/24 dev eth0")
    try:
        finding = _error(returning, "lacks 10.60.0.2/24")
        assert finding["where"] == "eth0"
        _run(returning, "lb1", *finding["fix"]["willis"])
        _mended(returning)
    finally:
        _run(returning, "lb1", "ip address replace 10.60.0.2/24 dev eth0")


def _warnings(drill: Drill) -> list[tuple[str, bool]]:
    warnings = [f for f in _report(drill)["findings"] if f["severity"] == "warning"]
    return [(f["where"], "1500 bytes" in f["what"]) for f in warnings]


def _seconds_to_name(drill: Drill, words: str) -> float:
    began = time.monotonic()
    _error(drill, words)
    return time.monotonic() - began


def _mended(drill: Drill) -> None:
    wait_until(lambda: _errors(drill) == [], "nothing is wrong any more")


def _report(drill: Drill) -> Json:
    socket = drill.base / drill.name / "lb1/run/engine.sock"
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=60) as http:
        answer = http.get("http://engine/api/v1/doctor")
    assert answer.status_code == 200, answer.text
    return answer.json()


def _errors(drill: Drill) -> list[Json]:
    return [f for f in _report(drill)["findings"] if f["severity"] == "error"]


def _error(drill: Drill, words: str) -> Json:
    """The one error with these words."""
    named: list[Json] = []

    def is_named() -> bool:
        named[:] = [finding for finding in _errors(drill) if words in finding["what"]]
        return len(named) == 1

    wait_until(is_named, words)
    return named[0]


def _apply(drill: Drill, machine: str, finding: Json) -> None:
    """Type the printed lines for Linux."""
    _run(drill, machine, *finding["fix"]["linux"])


def _run(drill: Drill, machine: str, *lines: str) -> None:
    """Type lines into a shell of the machine."""
    for line in lines:
        drill.run(machine, "sh", "-ec", line)


def _noticed(drill: Drill) -> int:
    """Lines in all ledgers: connections that an application noticed."""
    return sum(len(drill.ledger(service["name"])) for service in drill.status()["services"])


def _neighbours(drill: Drill, machine: str) -> dict[str, str]:
    listed = json.loads(drill.run(machine, "ip", "-j", "neigh", "show") or "[]")
    return {each["dst"]: each["lladdr"] for each in listed if "lladdr" in each}


def _bridge(drill: Drill) -> str:
    """The switch's bridge in the servers' subnet."""
    listed = json.loads(drill.run("net", "ip", "-j", "address", "show"))
    return next(
        link["ifname"] for link in listed for a in link["addr_info"] if a["local"].startswith("10.60.0.")
    )
