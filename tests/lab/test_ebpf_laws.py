"""The laws on the real maps: whatever site follows another, the engine holds exactly what was compiled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.builders import sites, statuses
from tests.lab.ebpf_net import LAB, Net, started
from willis.engines.ebpf import upkeep
from willis.plan.diff import diff

pytestmark = LAB


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    with started(tmp_path_factory.mktemp("net")) as net, pytest.MonkeyPatch.context() as patch:
        patch.setattr(upkeep, "_PATIENCE_S", 0.0)  # none of these servers exists
        yield net


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_site_after_any_other(net: Net, data: st.DataObject) -> None:
    for _ in range(3):
        config = data.draw(sites())
        want = net.engine.compile(config, data.draw(statuses(config)))
        net.node.call(net.engine.apply, diff("ebpf", net.node.call(net.engine.observe), want))
        assert net.node.call(net.engine.observe) == want
        net.refresh()
        assert net.node.call(net.engine.observe) == want
