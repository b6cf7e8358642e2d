"""Transparent services: real servers see the client's own address, and nothing is left when they go."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.lab.drill import Drill, wait_until

pytestmark = pytest.mark.lab
# ruff: noqa: E501 - a service a line

SITE = """\
version: 1
site: transparent
interfaces:
  eth0: {{addresses: ["{net}2/{bits}"]}}
hosts: {{s1: "{net}11", s2: "{net}12"}}
defaults:
  check: {{interval: 1s, timeout: 2s, rise: 1, fall: 2}}
services:
  Web: {{vip: "{net}101", ports: 8080, application: http, forwarding: proxy, transparent: true, pool: [s1, s2]}}
  Dicom: {{vip: "{net}102", ports: 11112, application: dicom, forwarding: proxy, transparent: true, pool: [s1, s2]}}
  Hl7: {{vip: "{net}103", ports: 2398, application: hl7, forwarding: proxy, transparent: true, pool: [s1, s2]}}
  Plain: {{vip: "{net}104", ports: 8081, application: http, forwarding: proxy, pool: [s1, s2]}}
"""
NETS = {4: {"net": "10.64.0.", "bits": 24}, 6: {"net": "2001:db8:64::", "bits": 64}}


@pytest.fixture(scope="module", params=[4, 6], ids=["ipv4", "ipv6"])
def drill(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    base = tmp_path_factory.mktemp("t")
    (base / "site.yaml").write_text(SITE.format(**NETS[request.param]))
    with Drill.of(str(base / "site.yaml"), base, "--topology", "two-arm") as found:
        yield found


def ways_back(drill: Drill) -> list[str]:
    """All that Willis put into the kernel for them."""
    words = [drill.run("lb1", "ip", family, "rule") for family in ("-4", "-6")]
    words += [drill.run("lb1", "ip", family, "route", "show", "table", "all") for family in ("-4", "-6")]
    words.append(drill.run("lb1", "nft", "list", "tables"))
    return [
        line.strip()
        for text in words
        for line in text.splitlines()
        if "22360" in line or "willis_proxy" in line or "quickack" in line
    ]


def test_every_server_sees_the_client(drill: Drill) -> None:
    answer = json.loads(drill.lab("traffic", "--json", timeout=120))
    assert answer["ok"], [row for row in answer["rows"] if not row["ok"]]


def test_drift_heals(drill: Drill) -> None:
    before = ways_back(drill)
    for family in ("-4", "-6"):
        subprocess.run(drill.inside("lb1", ["ip", family, "rule", "del", "priority", "100"]), check=False)
    drill.run("lb1", "nft", "delete", "table", "inet", "willis_proxy")
    wait_until(lambda: ways_back(drill) == before, "rule and table are back")


def test_switched_off_and_on_under_load_nothing_fails_and_nothing_is_left(drill: Drill) -> None:
    document = drill.document()
    vip = drill.status("Web")["services"][0]["vip"]
    load = drill.start("client1", sys.executable, "-c", LOAD, vip)
    try:
        assert load.stdout is not None
        assert load.stdout.readline() == "ready\n"
        drill.apply(document.replace("transparent: true", "transparent: false"), "--force")
        wait_until(lambda: not [w for w in ways_back(drill) if "quickack" not in w], "nothing is left")
        drill.apply(document, "--force")
        wait_until(lambda: bool(ways_back(drill)), "it is back")
        output, _ = load.communicate("stop\n", timeout=120)
    finally:
        load.kill()
    requests, failed = map(int, output.split())
    assert requests > 10
    assert failed == 0
    assert json.loads(drill.lab("traffic", "--json", timeout=120))["ok"]


LOAD = """
import http.client, sys, threading
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
print("ready", flush=True)
done = failed = 0
while not stop.wait(0.01):
    try:
        connection = http.client.HTTPConnection(sys.argv[1], 8080, timeout=30)
        connection.request("GET", "/")
        failed += connection.getresponse().status >= 500
        connection.close()
    except OSError:
        failed += 1
    done += 1
print(done, failed)
"""


def test_answers_of_dicom_servers_are_acknowledged_at_once(drill: Drill) -> None:
    document = drill.document()
    version = 6 if ":" in drill.status("Web")["services"][0]["vip"] else 4
    quick = [way for way in ways_back(drill) if "quickack 1" in way]
    assert {way.split()[0] for way in quick} == {f"{NETS[version]['net']}{number}" for number in (11, 12)}
    delayed = re.sub(r"^( +)application: dicom$", r"\g<0>\n\1quick-acknowledge: false", document, flags=re.M)
    drill.apply(delayed, "--force")
    wait_until(lambda: not any("quickack" in way for way in ways_back(drill)), "the quick routes are gone")
    mine = f"{NETS[version]['net']}11"
    way = ["route", "add", mine, "dev", "eth0"]
    drill.run("lb1", "ip", f"-{version}", *way)
    try:
        drill.apply(document, "--force")
        wait_until(
            lambda: [w.split()[0] for w in ways_back(drill) if "quickack 1" in w] == [f"{mine[:-1]}2"], "one"
        )
        wait_until(lambda: any(mine in a for e in drill.status()["engines"] for a in e["alarms"]), "told")
    finally:
        drill.run("lb1", "ip", f"-{version}", "route", "del", mine, "dev", "eth0")
        drill.apply(document, "--force")
    wait_until(lambda: len([w for w in ways_back(drill) if "quickack 1" in w]) == 2, "both are quick")
