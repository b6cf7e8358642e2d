"""The hosts' side of NAT: answers find their way back through a node that translates by hand."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from willis.lab import build, control, evidence, probe
from willis.lab.blueprint import CLIENTS
from willis.lab.twin import Twin, plan

pytestmark = pytest.mark.lab

DOCUMENT = """
version: 1
site: returns
interfaces:
  eth0: {addresses: [10.60.0.2/24, "2001:db8:60::2/64"]}
hosts:
  both: 10.60.0.11
  only: 10.60.0.12
  far: 10.77.0.5
  both6: "2001:db8:60::11"
  only6: "2001:db8:60::12"
services:
  Direct: {vip: 10.60.0.101, ports: 80, application: http, forwarding: dr, pool: [both]}
  Nat: {vip: 10.60.0.102, ports: 80, application: http, forwarding: nat, pool: [both, only, far]}
  Direct6: {vip: "2001:db8:60::101", ports: 80, application: http, forwarding: dr, pool: [both6]}
  Nat6: {vip: "2001:db8:60::102", ports: 80, application: http, forwarding: nat, pool: [both6, only6]}
"""


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    """The node has no engine: it forwards, owns the NAT VIPs, and a test tells it where they lead."""
    lacking = probe.missing_for_full()
    if lacking:
        pytest.skip(f"no full twin can be built here; missing: {'; '.join(lacking)}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WILLIS_LAB_DIR", str(tmp_path_factory.mktemp("t")))
        bare = plan(f"r{os.getpid()}", DOCUMENT, light=False)
        build.up(bare, with_engine=False)
        try:
            forwarding = ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
            run(bare, "lb1", "sysctl", "-qw", *forwarding)
            run(bare, "lb1", "ip", "address", "add", "10.60.0.102/32", "dev", "eth0")
            run(bare, "lb1", "ip", "address", "add", "2001:db8:60::102/128", "dev", "eth0", "nodad")
            yield bare
        finally:
            build.down(bare.name)


def run(twin: Twin, machine: str, *argv: str, stdin: str = "") -> str:
    done = subprocess.run(
        [*twin.enter(machine), *argv],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env=twin.environment(machine),
        check=False,
    )
    assert done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def translate(twin: Twin, family: str, vip: str, server: str) -> None:
    """What the engine does in NAT, by hand."""
    table = "table inet byhand"
    rules = f"""
        {table}
        delete {table}
        {table} {{
            chain pre {{
                type nat hook prerouting priority dstnat
                {family} daddr {vip} dnat {family} to {server}
            }}
        }}
    """
    run(twin, "lb1", "nft", "-f", "-", stdin=rules)


def visits(twin: Twin, url: str) -> list[tuple[str, str]]:
    """Who served one visit from each client, and whom it saw by the client's name."""
    since = evidence.mark(twin)
    for client in CLIENTS:
        run(twin, client, "curl", "-sf", "--max-time", "20", url)
    found = [entry for entry in evidence.read(twin, since) if entry.what == "GET /"]
    names = {str(a): m.name for m in twin.blueprint.machines for a in m.addresses}
    return [(entry.host, names[entry.client]) for entry in found]


SERVERS = {"only": "10.60.0.12", "both": "10.60.0.11", "far": "10.77.0.5"}


@pytest.mark.parametrize("host", SERVERS)
def test_answers_return_through_the_node(twin: Twin, host: str) -> None:
    translate(twin, "ip", "10.60.0.102", SERVERS[host])
    assert visits(twin, "http://10.60.0.102/") == [(host, client) for client in CLIENTS]


@pytest.mark.parametrize(("host", "server"), [("only6", "2001:db8:60::12"), ("both6", "2001:db8:60::11")])
def test_answers_return_through_the_node_in_ipv6(twin: Twin, host: str, server: str) -> None:
    translate(twin, "ip6", "2001:db8:60::102", server)
    assert visits(twin, "http://[2001:db8:60::102]/") == [(host, client) for client in CLIENTS]


@pytest.mark.parametrize(
    ("host", "vip", "url"),
    [
        ("both", "10.60.0.101", "http://10.60.0.101/"),
        ("both6", "2001:db8:60::101", "http://[2001:db8:60::101]/"),
    ],
)
def test_a_host_of_both_modes_answers_dr_without_the_node(twin: Twin, host: str, vip: str, url: str) -> None:
    """The node is unplugged; its engine's part, the host's MAC address, is the switch's here."""
    bridge = twin.blueprint.lans[0].bridge
    mac = run(twin, host, "ip", "-brief", "link", "show", "eth0").split()[2]
    run(twin, "net", "ip", "neighbour", "replace", vip, "lladdr", mac, "dev", bridge)
    control.unplug(twin, "lb1")
    try:
        assert visits(twin, url) == [(host, client) for client in CLIENTS]
    finally:
        control.plug(twin, "lb1")
        run(twin, "net", "ip", "neighbour", "delete", vip, "dev", bridge)


def test_who_calls_a_nat_server_directly_is_answered(twin: Twin) -> None:
    for host, address in SERVERS.items():
        assert visits(twin, f"http://{address}/") == [(host, client) for client in CLIENTS]
