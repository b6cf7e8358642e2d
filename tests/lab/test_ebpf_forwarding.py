"""Layer 4 carries real packets: direct routing, schedulers, IPv6, UDP, fragments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.lab.ebpf_net import NAMES, SOURCES, Net, echo, missing, site, up

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    net = Net(tmp_path_factory.mktemp("net"))
    try:
        net.start()
        yield net
    finally:
        net.close()


def test_server_sees_the_client_and_the_maps_say_what_was_compiled(net: Net) -> None:
    config = site(echo())
    net.apply(config)
    talk = net.connect(SOURCES[0])
    assert talk.server in NAMES
    assert talk.seen == SOURCES[0]
    assert talk.say() == talk.server
    assert net.node.call(net.engine.observe) == net.engine.compile(config, up(config))
    talk.close()


@pytest.mark.parametrize(
    ("weights", "shares"), [((100, 100, 100), (20, 20, 20)), ((150, 100, 50), (30, 20, 10))]
)
def test_wlc_is_exact(net: Net, weights: tuple[int, ...], shares: tuple[int, ...]) -> None:
    net.apply(site(echo(f"Wlc{weights[0]}", weights=weights)))
    talks = [net.connect(source) for source in SOURCES[:60]]
    found = Counter(talk.server for talk in talks)
    assert found == dict(zip(NAMES, shares, strict=True))
    assert net.active(f"Wlc{weights[0]}") == found
    for talk in talks:
        talk.close()
