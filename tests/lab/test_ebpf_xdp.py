"""The same program as native XDP, on veth.

Native XDP on veth never completes checksums and cuts super-packets: senders
turn those offloads off, and the receiving ends need GRO (or a program) to be redirected to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.lab.ebpf_net import LAB, SOURCES, VIP6, Net, echo, site, started, up
from willis.engines import rtnetlink
from willis.engines.port import EngineError
from willis.model.node import Attach
from willis.model.service import Protocol

pytestmark = LAB


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    with started(tmp_path_factory.mktemp("net")) as net:
        for space in (net.client, net.node, *net.servers.values()):
            space.do("ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gso", "off")
        for port in ("lb", "cl", "s1", "s2", "s3"):
            net.bridge.do("ethtool", "-K", port, "gro", "on", "tx", "off")
        yield net


def test_native_xdp_forwards(net: Net) -> None:
    config = site(
        echo("X"), echo("X6", VIP6), echo("Xu", protocol=Protocol.UDP), attach=Attach.XDP
    )  # fmt: skip
    net.apply_resolved(config)
    assert net.node.call(net.engine.observe) == net.engine.compile(config, up(config))
    assert "xdp" in net.node.do("ip", "link", "show", "eth0")
    talks = [net.connect(source) for source in SOURCES[:30]]
    assert Counter(talk.server for talk in talks) == {"s1": 10, "s2": 10, "s3": 10}
    assert talks[0].say("x" * 20_000) == talks[0].server
    assert talks[0].seen == SOURCES[0]
    assert net.connect("fd77::10", VIP6).say()
    assert net.datagram(SOURCES[0], b"x" * 4000).split()[2] == "4000"
    assert net.node.call(net.engine.services)["X"].bytes_in > 20_000


def test_changing_the_hook_breaks_no_connection(net: Net) -> None:
    net.apply_resolved(site(echo("Hook"), attach=Attach.XDP))
    talk = net.connect(SOURCES[0])
    for attach in (Attach.TCX, Attach.XDP, Attach.TCX):
        config = site(echo("Hook"), attach=attach)
        net.apply(config)
        assert net.node.call(net.engine.observe) == net.engine.compile(config, up(config))
        assert talk.say() == talk.server
    assert "xdp" not in net.node.do("ip", "link", "show", "eth0")


def test_a_driver_without_xdp_is_refused_with_a_reason(net: Net) -> None:
    config = site(echo("Lo"))
    net.apply(config)
    with pytest.raises(EngineError, match="attach: tcx"):
        net.node.call(lambda: net.engine._hooks.attach("lo", Attach.XDP, rtnetlink.links()))
    assert net.node.call(net.engine.observe) == net.engine.compile(config, up(config))
