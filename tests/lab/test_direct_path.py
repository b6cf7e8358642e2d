"""A server without the VIP on its loopback gets no client, however well it answers at its own address."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.lab.drill import Drill, wait_until

pytestmark = pytest.mark.lab

SITE = """
version: 1
site: direct
interfaces:
  eth0: {addresses: [10.63.0.2/24, "2001:db8:63::2/64"]}
hosts:
  s1: 10.63.0.11
  s2: 10.63.0.12
  t1: "2001:db8:63::11"
  t2: "2001:db8:63::12"
  container: 10.63.0.13
defaults:
  check: {interval: 1s, timeout: 1s}
services:
  Web: {vip: 10.63.0.101, ports: 80, application: http, forwarding: dr, scheduler: wrr, pool: [s1, s2]}
  Other: {vip: 10.63.0.102, ports: 80, application: http, forwarding: dr, pool: [s1, s2, container]}
  Web6: {vip: "2001:db8:63::101", ports: 80, application: http, forwarding: dr, pool: [t1, t2]}
  Nat: {vip: 10.63.0.103, ports: 80, application: http, forwarding: nat, pool: [s1]}
"""
CONTAINER = """table ip container {
    chain pre { type nat hook prerouting priority -100; tcp dport 80 dnat to 10.63.0.12; }
    chain post { type nat hook postrouting priority 100; ip daddr 10.63.0.12 masquerade; }
}"""
"""Its port is not its own: a packet with a hop limit of 1 comes to nobody, whatever address is on it."""
BAD = {"s1": "misconfigured", "s2": "up"}
BAD6 = {"t1": "misconfigured", "t2": "up"}
REST = {"Other": {"s1": "up", "s2": "up", "container": "up"}, "Nat": {"s1": "up"}, "Web6": BAD6}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    file = tmp_path_factory.mktemp("direct") / "site.yaml"
    file.write_text(SITE)
    with Drill.of(str(file), tmp_path_factory.mktemp("d")) as drill:
        drill.run("container", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        subprocess.run(drill.inside("container", ["nft", "-f", "-"]), input=CONTAINER, text=True, check=True)
        yield drill


def servers(drill: Drill, service: str) -> dict[str, dict[str, Any]]:
    """By host. Asked without a process of its own, since much is polled here."""
    socket = drill.base / drill.name / "lb1/run/engine.sock"
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=30) as http:
        rows = http.get("http://engine/api/v1/status").json()["services"]
    return {server["host"]: server for row in rows if row["name"] == service for server in row["servers"]}


def verdicts(drill: Drill, service: str) -> dict[str, str]:
    return {host: server["verdict"] for host, server in servers(drill, service).items()}


def until(drill: Drill, wanted: dict[str, str], service: str = "Web") -> float:
    """Seconds that it takes."""
    began = time.monotonic()
    wait_until(lambda: verdicts(drill, service) == wanted, f"{service} is {wanted}")
    return time.monotonic() - began


def scheduled(drill: Drill) -> dict[str, int]:
    """Clients that were ever sent to each host in Web, as of the engine's last pass."""
    return {host: int(server["sessions"]["total"]) for host, server in servers(drill, "Web").items()}


def counted_once_more(drill: Drill) -> dict[str, int]:
    """What was scheduled, as of passes after now in which clients came."""
    for _ in range(2):
        now = scheduled(drill)
        wait_until(lambda now=now: scheduled(drill)["s2"] > now["s2"] + 5, "clients come, and are counted")
    return scheduled(drill)


def test_a_server_without_the_vip_gets_no_client_until_it_has_it(site: Drill) -> None:
    until(site, {"s1": "up", "s2": "up"})
    endless = "while :; do curl -so /dev/null --max-time 5 http://10.63.0.101/; sleep 0.05; done"
    client = site.start("client1", "sh", "-c", endless)
    try:
        _take(site, "s1", "10.63.0.101/32")
        _take(site, "t1", "2001:db8:63::101/128")
        seconds = until(site, BAD)
        reason = servers(site, "Web")["s1"]["reason"]
        before = counted_once_more(site)
        assert counted_once_more(site)["s1"] == before["s1"]
        until(site, BAD6, "Web6")

        # A reboot does not bring back an address that was never written into a file.
        site.lab("kill", "s1")
        until(site, {"s1": "dead", "s2": "up"})
        site.lab("restore", "s1")
        until(site, BAD)
        assert counted_once_more(site)["s1"] == before["s1"]
        for service, wanted in REST.items():
            until(site, wanted, service)

        _give(site, "s1", "10.63.0.101/32")
        _give(site, "t1", "2001:db8:63::101/128")
        back = until(site, {"s1": "up", "s2": "up"})
        until(site, {"t1": "up", "t2": "up"}, "Web6")
        wait_until(lambda: scheduled(site)["s1"] > before["s1"], "s1 gets clients again")
    finally:
        client.kill()
        client.wait()
    print(f"seconds to the verdict: {seconds:.1f}, back: {back:.1f}")
    assert "VIP 10.63.0.101 is missing on s1's loopback" in reason
    assert "'willis doctor'" in reason


def _take(drill: Drill, host: str, vip: str) -> None:
    drill.run(host, "ip", "address", "del", vip, "dev", "lo")


def _give(drill: Drill, host: str, vip: str) -> None:
    drill.run(host, "ip", "address", "add", vip, "dev", "lo")
