"""Who takes new connections."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from tests.builders import dr, seen, server, site, web
from willis.control.report import sentence
from willis.model.check import Check
from willis.model.service import Need, VirtualService
from willis.model.status import Admin, Health, Place, Status, Verdict
from willis.plan.members import (
    Member,
    Standing,
    State,
    admin_of,
    members,
    needed,
    state,
    target,
    targets,
    uses_fallback,
)


@pytest.mark.parametrize(
    ("verdict", "admin", "standing"),
    [
        (Verdict.UP, Admin.ONLINE, Standing.OPEN),
        (Verdict.BUSY, Admin.ONLINE, Standing.OPEN),
        (Verdict.UNKNOWN, Admin.ONLINE, Standing.DRAIN),
        (Verdict.MISCONFIGURED, Admin.ONLINE, Standing.DRAIN),
        (Verdict.DEAD, Admin.ONLINE, Standing.DOWN),
        (Verdict.HUNG, Admin.ONLINE, Standing.DOWN),
        (Verdict.UP, Admin.DRAIN, Standing.DRAIN),
        (Verdict.DEAD, Admin.DRAIN, Standing.DOWN),
        (Verdict.UP, Admin.HALT, Standing.DOWN),
    ],
)
def test_standing_follows_verdict_and_admin(verdict: Verdict, admin: Admin, standing: Standing) -> None:
    config = site(dr())
    status = replace(seen(config, verdict), admin={Place("vna1"): admin})
    assert members(config.services[0], status)[0].standing is standing


def test_the_stricter_of_host_and_service_counts() -> None:
    status = Status(admin={Place("vna1"): Admin.DRAIN, Place("vna1", "MWL"): Admin.HALT})
    assert admin_of(status, "MWL", "vna1") is Admin.HALT
    assert admin_of(status, "DicomRouting", "vna1") is Admin.DRAIN
    assert admin_of(status, "MWL", "vna2") is Admin.ONLINE


def test_services_of_one_host_and_port_share_one_target_with_the_tightest_check() -> None:
    config = site(
        dr("A", check=Check(interval_s=5)), dr("B", vip=102, check=Check(interval_s=1)), web(port=11112)
    )
    found = targets(config)
    assert len(found) == 3
    assert {check.interval_s for check in found.values()} == {1}


def test_a_service_is_up_degraded_or_down() -> None:
    config = site(dr())
    pools = [
        members(config.services[0], seen(config, **down))
        for down in ({}, {"vna1": Verdict.DEAD}, dict.fromkeys(("vna1", "vna2", "vna3"), Verdict.DEAD))
    ]
    assert [state(p) for p in pools] == [State.UP, State.DEGRADED, State.DOWN]


def test_the_fallback_serves_only_when_no_member_takes_new_connections() -> None:
    service = dr(pool=(server(1), server(2, weight=0)), fallback=server(4))
    config = site(service)
    assert not uses_fallback(service, members(service, seen(config)))
    assert uses_fallback(service, members(service, seen(config, vna1=Verdict.DEAD)))
    assert not uses_fallback(replace(service, fallback=None), members(service, Status()))


def test_checks_alone_do_not_empty_a_pool_with_a_floor() -> None:
    config = site(dr(floor=2))
    service = config.services[0]
    one_left = {"vna1": Verdict.DEAD, "vna2": Verdict.HUNG}
    pool = members(service, seen(config, **one_left))
    assert [(m.takes_new, m.by_floor) for m in pool] == [(True, True), (True, True), (True, False)]
    assert state(pool) is State.DEGRADED
    enough = members(service, seen(config, vna1=Verdict.DEAD))
    assert [m.takes_new for m in enough] == [False, True, True]


def test_the_floor_overrules_no_administrator() -> None:
    config = site(dr(floor=3))
    status = replace(seen(config, vna2=Verdict.DEAD), admin={Place("vna1"): Admin.HALT})
    pool = members(config.services[0], status)
    assert [m.standing for m in pool] == [Standing.DOWN, Standing.OPEN, Standing.OPEN]


def test_a_busy_server_gets_half_and_never_nothing() -> None:
    config = site(dr(pool=(server(1, weight=100), server(2, weight=1), server(3, weight=0))))
    pool = members(config.services[0], seen(config, Verdict.BUSY))
    assert [m.weight for m in pool] == [50, 1, 0]


def test_a_share_is_of_the_weight() -> None:
    config = site(dr())
    status = replace(seen(config), shares={Place("vna1", "DicomRouting"): 0.1})
    assert [m.weight for m in members(config.services[0], status)] == [10, 100, 100]


def test_a_server_whose_database_is_gone_fails_with_its_name() -> None:
    needs = (Need("database", IPv4Address("10.60.0.20"), 5432),)
    config = site(dr(pool=(server(1, needs=needs), server(2))))
    status = seen(config)
    assert [m.takes_new for m in members(config.services[0], status)] == [True, True]
    health = {
        **status.health,
        needed(needs[0]): Health(Verdict.DEAD, "connection refused by 10.60.0.20:5432"),
    }
    first, second = members(config.services[0], replace(status, health=health))
    assert (first.health.verdict, first.standing) == (Verdict.FAILING, Standing.DRAIN)
    assert first.health.reason == "its database is dead: connection refused by 10.60.0.20:5432"
    assert second.takes_new
    assert needed(needs[0]) in targets(config)


def test_a_full_server_keeps_what_it_has() -> None:
    config = site(dr())
    pool = members(config.services[0], replace(seen(config), full=frozenset({Place("vna1", "DicomRouting")})))
    assert [(m.standing, m.full) for m in pool][0] == (Standing.DRAIN, True)
    assert [m.takes_new for m in pool] == [False, True, True]


def test_a_server_that_is_held_back_serves_only_where_nobody_else_would() -> None:
    service = dr(pool=(server(1), server(2)))
    config = site(service)

    def pool(of: VirtualService = service, **verdicts: Verdict) -> tuple[Member, ...]:
        status = seen(config, **verdicts)
        held = Health(Verdict.DEAD, "answers again, but fell 4 times", held=True)
        return members(of, replace(status, health={**status.health, target(of, of.pool[0]): held}))

    assert [m.takes_new for m in pool()] == [False, True]
    alone = pool(vna2=Verdict.DEAD)
    assert [m.takes_new for m in alone] == [True, False]
    assert state(alone) is State.DEGRADED
    assert sentence(service, alone[0]) == (
        "vna1 in DicomRouting is held back: answers again, but fell 4 times. "
        "It serves all the same: nobody else does."
    )
    spared = replace(service, fallback=server(4))
    assert uses_fallback(spared, pool(spared, vna2=Verdict.DEAD))


def test_they_are_concluded_once_for_each_service_and_status() -> None:
    service = dr("A")
    status = seen(site(service))
    found = members(service, status)
    assert members(service, status) is found
    shorter = replace(service, pool=service.pool[:1])
    assert [m.server.host for m in members(shorter, status)] == ["vna1"], "of the same name in a planned site"
    assert members(service, status) == found
    drained = replace(status, admin={Place("vna1"): Admin.DRAIN})
    assert members(service, drained)[0].standing is Standing.DRAIN
    assert members(service, status)[0].standing is Standing.OPEN
