"""What the layer-4 engine is asked to hold."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import ETH0, dr, seen, server, site, sites, statuses, web
from willis.engines.ebpf.compile import compile_l4
from willis.engines.ebpf.entries import (
    Attachment,
    FallbackEntry,
    MemberEntry,
    ServiceEntry,
    Share,
    TableEntry,
)
from willis.engines.port import EngineError
from willis.model.config import Config
from willis.model.node import Attach, Host
from willis.model.persistence import SourcePersistence
from willis.model.service import (
    TRANSLATED,
    Forwarding,
    Protocol,
    RealServer,
    Scheduler,
    Timeouts,
)
from willis.model.status import Admin, Place, Status, Verdict
from willis.plan.marks import MASK, OURS, marks
from willis.plan.members import Standing

RIPS = [IPv4Address(f"10.60.0.1{n}") for n in range(4)]


def test_a_service_becomes_its_ports_members_and_table() -> None:
    config = site(dr(pool=(server(1), server(2, weight=50)), fallback=server(3)), web())
    assert compile_l4(config, seen(config)) == {
        "attach/eth0": Attachment((Attach.TCX,)),
        "service/DicomRouting": ServiceEntry(
            IPv4Address("10.60.0.101"), Protocol.TCP, (11112,), SourcePersistence()
        ),
        "member/DicomRouting/vna1": MemberEntry(RIPS[1], "eth0", Standing.OPEN),
        "member/DicomRouting/vna2": MemberEntry(RIPS[2], "eth0", Standing.OPEN),
        "fallback/DicomRouting": FallbackEntry("vna3", RIPS[3], "eth0", Standing.OPEN),
        "table/DicomRouting": TableEntry(
            Scheduler.WLC, (Share("vna1", RIPS[1], 100), Share("vna2", RIPS[2], 50))
        ),
    }


def test_a_translated_member_has_a_mark_and_no_interface() -> None:
    far = RealServer("far", IPv4Address("192.0.2.1"), port=11113)
    service = dr(forwarding=Forwarding.SNAT, pool=(server(1), far), fallback=server(3))
    config = replace(site(service), hosts=(*site().hosts, Host("far", far.address)))
    held = compile_l4(config, seen(config))
    known = marks(config)
    mark = known["DicomRouting", far.address, 11113]
    assert mark & MASK == OURS
    assert held["service/DicomRouting"].translated
    assert held["member/DicomRouting/far"] == MemberEntry(far.address, "", Standing.OPEN, mark)
    assert [share.mark for share in held["table/DicomRouting"].pool] == [
        known["DicomRouting", RIPS[1], None], mark
    ]  # fmt: skip
    assert held["fallback/DicomRouting"].mark == known["DicomRouting", RIPS[3], None]


@pytest.mark.parametrize("forwarding", TRANSLATED)
def test_tc_marks_what_xdp_cannot(forwarding: Forwarding) -> None:
    config = replace(site(dr()), interfaces=(replace(ETH0, attach=Attach.XDP),))
    assert compile_l4(config, Status())["attach/eth0"] == Attachment((Attach.XDP,))
    config = replace(config, services=(*config.services, dr("Nat", 102, forwarding=forwarding)))
    assert compile_l4(config, Status())["attach/eth0"] == Attachment((Attach.TCX, Attach.XDP))


def test_one_packet_counts_no_load_so_wlc_takes_turns() -> None:
    timeouts = Timeouts(datagram_s=10)
    config = site(dr(protocol=Protocol.UDP, one_packet=True, timeouts=timeouts))
    held = compile_l4(config, Status())
    assert held["table/DicomRouting"].scheduler is Scheduler.WRR
    assert held["service/DicomRouting"].one_packet
    assert held["service/DicomRouting"].timeouts == timeouts


def test_without_a_layer_4_service_nothing_is_attached() -> None:
    config = site(web())
    assert compile_l4(config, seen(config)) == {}


def test_only_open_members_with_a_weight_are_in_the_table() -> None:
    config = site(dr(pool=(server(1), server(2), server(3, weight=0), server(4))))
    status = seen(config, vna1=Verdict.DEAD)
    status = replace(status, admin={Place("vna2"): Admin.DRAIN})
    held = compile_l4(config, status)
    assert held["table/DicomRouting"] == TableEntry(
        Scheduler.WLC, (Share("vna4", IPv4Address("10.60.0.14"), 100),)
    )
    standings = [held[f"member/DicomRouting/vna{n}"].standing for n in range(1, 5)]
    assert standings == [Standing.DOWN, Standing.DRAIN, Standing.DRAIN, Standing.OPEN]


def test_a_hung_server_keeps_what_it_has_unless_it_is_halted() -> None:
    config = site(dr())
    hung = seen(config, vna1=Verdict.HUNG)
    assert compile_l4(config, hung)["member/DicomRouting/vna1"].standing is Standing.DRAIN
    halted = replace(hung, admin={Place("vna1"): Admin.HALT})
    assert compile_l4(config, halted)["member/DicomRouting/vna1"].standing is Standing.DOWN


def test_before_the_first_look_running_connections_stay() -> None:
    config = site(dr())
    held = compile_l4(config, Status())
    assert held["member/DicomRouting/vna1"].standing is Standing.DRAIN
    assert held["table/DicomRouting"].pool == ()


@pytest.mark.parametrize(
    ("state", "standing"),
    [(Admin.ONLINE, Standing.OPEN), (Admin.DRAIN, Standing.DRAIN), (Admin.HALT, Standing.DOWN)],
)
def test_the_fallback_server_obeys_its_host_and_no_check(state: Admin, standing: Standing) -> None:
    config = site(dr(fallback=server(4)))
    status = replace(seen(config, verdict=Verdict.DEAD), admin={Place("vna4"): state})
    assert compile_l4(config, status)["fallback/DicomRouting"].standing is standing


def test_a_server_out_of_reach_is_refused_with_a_reason() -> None:
    config = site(dr(pool=(server(1, address=IPv4Address("192.0.2.1")),)))
    with pytest.raises(EngineError, match=r"vna1 \(192\.0\.2\.1\).*no interface"):
        compile_l4(config, Status())


@given(st.data())
def test_every_table_shares_among_open_members_of_its_own_service(data: st.DataObject) -> None:
    config: Config = data.draw(sites())
    held = compile_l4(config, data.draw(statuses(config)))
    for service in config.services:
        if service.forwarding.layer != 4:
            assert not any(key.split("/")[1] == service.name for key in held)
            continue
        table = held[f"table/{service.name}"]
        opened = {
            rs.host
            for rs in service.pool
            if held[f"member/{service.name}/{rs.host}"].standing is Standing.OPEN
        }
        assert {share.host for share in table.pool} == opened
        assert all(share.weight > 0 for share in table.pool)
