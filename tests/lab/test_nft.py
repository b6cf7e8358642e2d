"""Translation on real packets: NAT and SNAT, both families and protocols, and changes under load."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.nat_net import (
    CLIENT,
    CLIENT6,
    LAB,
    NODE,
    NODE6,
    OTHER,
    VIP,
    VIP6,
    NatNet,
    nat,
    site,
    snat,
    started,
)

pytestmark = LAB


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatNet]:
    with started(tmp_path_factory.mktemp("nat")) as net:
        yield net


@pytest.fixture(autouse=True)
def _clean(net: NatNet) -> Iterator[None]:
    yield
    net.serve(site())


@pytest.mark.parametrize("vip", [VIP, VIP6])
@pytest.mark.parametrize("port", [None, OTHER])
def test_nat_shows_the_client_and_translates_the_port(net: NatNet, vip: str, port: int | None) -> None:
    net.serve(site(nat(vip=vip, port=port)))
    talks = [net.connect(vip) for _ in range(12)]
    assert {talk.seen for talk in talks} == {CLIENT6 if ":" in vip else CLIENT}
    assert {talk.server for talk in talks} == {"s1", "s2"}
    assert [talk.say() for talk in talks] == [talk.server for talk in talks]
    for talk in talks:
        talk.close()


@pytest.mark.parametrize("vip", [VIP, VIP6])
@pytest.mark.parametrize("port", [None, OTHER])
def test_snat_shows_the_node(net: NatNet, vip: str, port: int | None) -> None:
    net.serve(site(snat(vip=vip, port=port)))
    talk = net.connect(vip)
    assert talk.seen == (NODE6 if ":" in vip else NODE)
    assert talk.say() == talk.server
    talk.close()
