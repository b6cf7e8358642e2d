"""Kernel settings in a namespace of their own: taken on, kept, and put back exactly."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.ebpf_net import Namespace
from tests.lab.nat_net import LAB, VIP6, NatNet, nat, site, snat, started
from willis.engines.kernel.driver import KernelEngine
from willis.engines.port import EngineError

pytestmark = LAB

BOTH = site(nat(), snat("Snat6", vip=VIP6))
BEHIND = "fd78:77::1"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kernel")


@pytest.fixture(scope="module")
def net(state: Path) -> Iterator[NatNet]:
    with started(state) as net:
        yield net


@pytest.fixture(autouse=True)
def _clean(net: NatNet) -> Iterator[None]:
    yield
    net.settle(site())


def _all(net: NatNet) -> dict[str, str]:
    """Every setting of the node's network. Read as its own process, so in its own namespace."""
    lines = net.node.do("sysctl", "-a", "--pattern", r"^net\.ipv[46]\.(conf|ip_forward)").splitlines()
    return dict(line.split(" = ", 1) for line in lines)


def test_there_and_back_restores_the_exact_state(net: NatNet) -> None:
    net.node.set(ipv4__conf__eth1__forwarding=1, ipv4__conf__all__accept_redirects=0)
    net.node.set(ipv6__conf__eth0__forwarding=1, ipv4__conf__eth0__send_redirects=0)
    before, host = _all(net), Path("/proc/sys/net/ipv4/conf/all/send_redirects").read_text()
    assert net.settle(BOTH) == 5
    changed = _all(net)
    assert changed["net.ipv4.ip_forward"] == changed["net.ipv6.conf.all.forwarding"] == "1"
    assert {changed[f"net.ipv4.conf.{name}.send_redirects"] for name in ("all", "eth0", "eth1")} == {"0"}
    assert Path("/proc/sys/net/ipv4/conf/all/send_redirects").read_text() == host
    assert net.settle(BOTH) == 0
    assert net.settle(site()) == 5
    assert _all(net) == before


def test_what_somebody_changes_is_mended_and_a_restart_remembers(net: NatNet, state: Path) -> None:
    before = _all(net)
    net.settle(BOTH)
    net.node.set(ipv4__ip_forward=0)
    net.kernel = KernelEngine(state)
    assert net.settle(BOTH) == 1
    assert _all(net)["net.ipv4.ip_forward"] == "1"
    net.kernel = KernelEngine(state)
    net.settle(site())
    assert _all(net) == before


def test_a_kill_between_remembering_and_writing_heals(net: NatNet, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _all(net)
    with monkeypatch.context() as patch:
        patch.setattr("willis.engines.kernel.driver._write", _killed)
        with pytest.raises(KeyboardInterrupt):
            net.settle(BOTH)
    assert _all(net) == before
    net.settle(BOTH)
    with monkeypatch.context() as patch:
        patch.setattr("willis.engines.kernel.ledger.Ledger.write", _killed)
        with pytest.raises(KeyboardInterrupt):
            net.settle(site())
    net.settle(site())
    assert _all(net) == before
    assert net.settle(site()) == 0


def _killed(*_: Any) -> None:
    raise KeyboardInterrupt


def test_a_default_route_that_forwarding_would_remove_is_a_reason_to_refuse(net: NatNet) -> None:
    net.node.ip("route add default via fd78:1::10 dev eth0 proto ra")
    try:
        with pytest.raises(EngineError, match=r"lose its default route by eth0.*eth0\.accept_ra=2"):
            net.settle(BOTH)
        net.node.set(ipv6__conf__eth0__accept_ra=2)
        net.settle(BOTH)
    finally:
        net.node.ip("route del default via fd78:1::10 dev eth0")


def test_a_setting_that_is_not_there_is_told(net: NatNet) -> None:
    net.settle(site())
    want = {"sysctl/net.ipv4.conf.gone0.send_redirects": "0"}
    with pytest.raises(EngineError, match=r"no setting net\.ipv4\.conf\.gone0"):
        net.node.call(net.kernel.check, want)


def test_servers_are_not_told_a_way_around_the_node_over_ipv6(net: NatNet) -> None:
    """With one arm the node sends replies on by the interface by which they came."""
    server, other = net.servers["s1"], net.servers["s2"]
    node, router = _link_local(net.node, "eth1"), _link_local(other, "eth0")
    server.ip(f"route add {BEHIND}/128 via {node} dev eth0")
    net.node.ip(f"route add {BEHIND}/128 via {router} dev eth1")
    net.serve(BOTH)
    _send_until(server, lambda: _counted(net.node, "Ip6OutForwDatagrams") > 5)
    assert _counted(server, "Icmp6InRedirects") == 0
    net.apply(site())
    _send_until(server, lambda: _counted(server, "Icmp6InRedirects") > 0)


def _link_local(space: Namespace, interface: str) -> str:
    lines = space.do("ip", "-6", "-oneline", "address", "show", "dev", interface, "scope", "link")
    return lines.split()[3].partition("/")[0]


def _send_until(server: Namespace, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        server.call(_send)
        time.sleep(0.05)


def _counted(space: Namespace, counter: str) -> int:
    table = space.call(Path("/proc/thread-self/net/snmp6").read_text)
    return int(dict(line.split() for line in table.splitlines())[counter])


def _send() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as wire:
        wire.sendto(b"study", (BEHIND, 9))
