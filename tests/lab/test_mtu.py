"""Path MTU discovery through every mode: servers on jumbo frames, clients behind a narrow link.

The router's 'fragmentation needed' (ICMPv6 'packet too big') about a reply goes to the
VIP, that is, to the node; it must reach the server that sent the reply.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.lab.drill import Drill

pytestmark = pytest.mark.lab

_BYTES = 3_000_000
_SITE = """\
version: 1
site: mtu
interfaces:
  eth0: {{addresses: ["{net}2/{bits}"]}}
hosts: {{s1: "{net}11", s2: "{net}12"}}
defaults:
  check: {{interval: 1s, timeout: 1s, rise: 2, fall: 2}}
services:
  direct: {{vip: "{net}101", ports: 8080, application: http, forwarding: dr, pool: [s1, s2]}}
  nat: {{vip: "{net}102", ports: 8081, application: http, forwarding: nat, pool: [s1, s2]}}
  snat: {{vip: "{net}103", ports: 8082, application: http, forwarding: snat, pool: [s1, s2]}}
"""


@pytest.fixture(scope="module", params=[4, 6], ids=lambda family: f"ipv{family}")
def narrow(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """A twin with 9,000 bytes on the servers' side and 1,400 on the way to client1."""
    net, bits = ("10.64.0.", 24) if request.param == 4 else ("2001:db8:64::", 64)
    base = tmp_path_factory.mktemp("m")
    (base / "site.yaml").write_text(_SITE.format(net=net, bits=bits))
    with Drill.of(str(base / "site.yaml"), base) as drill:
        for link in _links(drill, "net"):
            drill.run("net", "ip", "link", "set", link, "mtu", "9000")
        for machine in ("lb1", "s1", "s2", "client1"):
            drill.run(machine, "ip", "link", "set", "eth0", "mtu", "9000")
        bridge = _client_bridge(drill)
        drill.run("net", "ip", "link", "set", bridge, "mtu", "1400")
        yield drill


@pytest.mark.parametrize("service", ["direct", "nat", "snat"])
def test_a_large_answer_comes_through(narrow: Drill, service: str) -> None:
    found = narrow.status(service)["services"][0]
    vip = f"[{found['vip']}]" if ":" in found["vip"] else found["vip"]
    url = f"http://{vip}:{found['ports'][0]}/size?bytes={_BYTES}"
    for _ in range(4):
        got = narrow.run(
            "client1", "curl", "-sSf", "-m", "60", "-o", "/dev/null", "-w", "%{size_download}", url
        )
        assert int(got) == _BYTES


def test_the_servers_were_told_how_narrow_the_way_to_the_client_is(narrow: Drill) -> None:
    family = "-6" if ":" in narrow.status("direct")["services"][0]["vip"] else "-4"
    told = [narrow.run(host, "ip", family, "route", "show", "cache") for host in ("s1", "s2")]
    assert any("mtu 1400" in routes for routes in told)


def _links(drill: Drill, machine: str) -> list[str]:
    links = json.loads(drill.run(machine, "ip", "-j", "link"))
    return [link["ifname"] for link in links if link["ifname"] != "lo"]


def _client_bridge(drill: Drill) -> str:
    """The router's interface towards client1."""
    address = drill.machines()["client1"]["addresses"][0]
    route = json.loads(drill.run("net", "ip", "-j", "route", "get", address))
    return str(route[0]["dev"])
