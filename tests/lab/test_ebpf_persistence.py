"""Source-IP persistence is obeyed exactly: it holds until its time-out and then counts for nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.ebpf_net import LAB, SOURCES, Net, echo, site, started, up
from willis.engines.ebpf import layout
from willis.model.persistence import SourcePersistence
from willis.model.service import Scheduler, VirtualService
from willis.model.status import Admin

pytestmark = LAB

TIMEOUT = 3


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    with started(tmp_path_factory.mktemp("net")) as net:
        yield net


def tied(name: str, timeout: int = TIMEOUT, mask: int = 32, **changes: Any) -> VirtualService:
    """wrr would send every next connection elsewhere, so only persistence keeps a client."""
    return echo(name, scheduler=Scheduler.WRR, persistence=SourcePersistence(timeout, mask), **changes)


def test_a_client_stays_until_the_timeout_and_not_beyond(net: Net) -> None:
    net.apply(site(tied("Exact")))
    assert len({net.connect(SOURCES[0]).server for _ in range(50)}) == 1
    servers = [net.connect(SOURCES[0]).server]
    last = time.monotonic()
    for _ in range(3):
        time.sleep(TIMEOUT + 0.1 - (time.monotonic() - last))
        servers.append(net.connect(SOURCES[0]).server)
        last = time.monotonic()
    # Three more turns of wrr, each right after the time-out: every one moved on.
    assert all(a != b for a, b in zip(servers, servers[1:], strict=False))


def test_the_end_is_where_the_document_says(net: Net) -> None:
    net.apply(site(tied("End", timeout=7)))
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    net.connect(SOURCES[1]).close()
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    ends = [
        (layout.CLIENT.unpack(value)[0] >> 16) * layout.TICK_NS
        for key, value in net.engine._loaded.maps["clients"].items()
        if layout.unpack_address(layout.CLIENT_KEY.unpack(key)[1]).exploded == SOURCES[1]
    ]
    tick = 20_000_000  # the coarse clock's step is at most 10 ms
    assert before + 7_000_000_000 - tick <= ends[-1] <= after + 7_000_000_000 + tick


def test_a_new_connection_renews(net: Net) -> None:
    net.apply(site(tied("Renew")))

    def stays() -> bool:
        first = net.connect(SOURCES[2]).server
        return all(net.connect(SOURCES[2]).server == first for _ in _each_half_of_the_timeout())

    assert any(stays() for _ in range(3))


def _each_half_of_the_timeout() -> Iterator[None]:
    """Four times. Who moves on each time after the time-out has moved on by then.

    The machine may stand still for longer than the time-out: so these tests try three times.
    """
    for _ in range(4):
        time.sleep(TIMEOUT / 2)
        yield


def test_traffic_of_a_live_connection_renews(net: Net) -> None:
    net.apply(site(tied("Live")))

    def stays() -> bool:
        talk = net.connect(SOURCES[3])
        for _ in _each_half_of_the_timeout():
            talk.say()
        return net.connect(SOURCES[3]).server == talk.server

    assert any(stays() for _ in range(3))


def test_clients_under_one_mask_share_a_server(net: Net) -> None:
    net.apply(site(tied("Mask", mask=28)))
    by_network: dict[int, set[str]] = {}
    for source in SOURCES:
        by_network.setdefault(int(source.split(".")[3]) // 16, set()).add(net.connect(source).server)
    assert all(len(servers) == 1 for servers in by_network.values())
    assert len(set.union(*by_network.values())) > 1


def test_sixty_clients_spread_by_weight(net: Net) -> None:
    net.apply(site(tied("Spread", timeout=300, weights=(150, 100, 50))))
    first = [net.connect(source).server for source in SOURCES[:60]]
    assert Counter(first) == {"s1": 30, "s2": 20, "s3": 10}
    assert first == [net.connect(source).server for source in SOURCES[:60]]


def test_ports_of_one_service_share_the_choice(net: Net) -> None:
    for space in net.servers.values():
        # a second port on the same listener
        space.do("nft", "add table ip two; add chain ip two pre { type nat hook prerouting priority -100; }; "
                 "add rule ip two pre tcp dport 11113 redirect to 11112")  # fmt: skip
    net.apply(site(tied("Ports", ports=(11112, 11113))))
    first = net.connect(SOURCES[4]).server
    assert net.connect(SOURCES[4], port=11113).server == first


def test_clients_of_a_drained_member_move(net: Net) -> None:
    config = site(tied("Drain", timeout=300))
    net.apply(config)
    talk = net.connect(SOURCES[5])
    net.apply(config, up(config, {talk.server: Admin.DRAIN}))
    moved = {net.connect(SOURCES[5]).server for _ in range(5)}
    assert len(moved) == 1
    assert moved != {talk.server}
    assert talk.say() == talk.server
