"""What a change does to live sessions. That it is true of the engines: ``tests/lab/test_impact.py``."""

from __future__ import annotations

from dataclasses import fields, replace
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.builders import ETH0, dr, nat, server, site, sites, web
from willis.model.check import Check, Ping
from willis.model.config import Config
from willis.model.node import Interface
from willis.model.proxy import Limits
from willis.model.service import Forwarding, Protocol, Scheduler, Timeouts, VirtualService
from willis.plan.impact import _WORDS, Effect, Impact, impact

NONE, NEW, DROPS = Effect.NONE, Effect.NEW_SESSIONS, Effect.DROPS
OTHERS = (dr("Other", 120, 1), nat("OtherNat", 121, 2), web("OtherWeb", 122))
"""Services that stay, so that no engine goes to rest."""
LIVE = {
    ("DicomRouting", "vna1"): 3,
    ("DicomRouting", "vna9"): 2,
    ("Mwl", "vna1"): 4,
    ("VitreaRead", "vna2"): 1,
}
"""vna9 has left the pool, and what it had goes on."""


def step(before: Config, after: Config) -> dict[str, Impact]:
    return {i.service: i for i in impact(before, after, LIVE)}


def change(service: VirtualService, **changes: Any) -> Impact:
    """One change of one service beside others."""
    before, after = site(service, *OTHERS), site(replace(service, **changes), *OTHERS)
    return step(before, after)[service.name]


@pytest.mark.parametrize(
    ("service", "changes", "effect"),
    [
        (dr(), {}, NONE),
        (dr(), {"scheduler": Scheduler.SH}, NEW),
        (dr(), {"pool": (server(1),)}, NEW),
        (dr(), {"ports": (11113,)}, NEW),
        (web(), {"ports": (8238,)}, NEW),
        (dr(), {"vip": IPv4Address("10.60.0.150")}, DROPS),
        (web(), {"vip": IPv4Address("10.60.0.150")}, DROPS),
        (dr(), {"vip": OTHERS[0].vip}, DROPS),
        (dr(), {"forwarding": Forwarding.NAT}, NEW),
        (nat(), {"forwarding": Forwarding.SNAT}, NEW),
        (nat(), {"forwarding": Forwarding.DR}, NEW),
        (dr(), {"forwarding": Forwarding.PROXY}, NEW),
        (web(), {"forwarding": Forwarding.DR}, DROPS),
        (web(), {"forwarding": Forwarding.NAT}, NEW),
        (web(transparent=True), {"transparent": False}, DROPS),
        (web(), {"transparent": True}, NEW),
        (web(), {"limits": Limits(connections=1)}, NEW),
        (dr(protocol=Protocol.UDP), {"one_packet": True}, DROPS),
        (dr(), {"timeouts": Timeouts(established_s=60)}, NEW),
    ],
)
def test_one_change_beside_services_that_stay(
    service: VirtualService, changes: dict[str, Any], effect: Effect
) -> None:
    assert change(service, **changes).effect is effect


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ([dr()], [], "10.60.0.101 leaves eth0"),
        ([dr(), web("Same", 101)], [web("Same", 101)], "no service of layer 4 is left"),
        ([nat(), dr("Same", 107)], [dr("Same", 107)], "no service of nat or snat is left in IPv4"),
        ([nat()], [nat(forwarding=Forwarding.DR)], "no service of nat or snat is left in IPv4"),
        ([dr()], [dr(forwarding=Forwarding.PROXY)], "no service of layer 4 is left"),
        ([web()], [web(forwarding=Forwarding.NAT)], "port 8237 passes to layer 4"),
        ([web()], [web(ports=(1,)), dr("New", 114, 8237)], "port 8237 passes to layer 4"),
        (
            [web(transparent=True), web("Same", 114)],
            [web("Same", 114)],
            "no transparent service is left in IPv4",
        ),
    ],
)
def test_what_ends_sessions_is_named(
    before: list[VirtualService], after: list[VirtualService], why: str
) -> None:
    found = step(site(*before), site(*after))[before[0].name]
    assert found.effect is DROPS
    assert why in found.why


@pytest.mark.parametrize("service", [dr(), nat(), web()])
def test_what_a_removed_service_has_goes_on_while_its_vip_stays(service: VirtualService) -> None:
    beside = replace(service, name="Beside", ports=(9,))
    found = step(site(service, beside, *OTHERS), site(beside, *OTHERS))
    assert found[service.name].effect is NEW
    assert found[service.name].why == "it is removed; what it has goes on"
    assert found["Beside"].effect is NONE


def test_a_vip_that_willis_does_not_hold_stays_when_its_service_goes() -> None:
    service = dr()
    elsewhere = replace(service, vip=IPv4Address("192.0.2.1"))
    assert step(site(elsewhere, *OTHERS), site(*OTHERS))[service.name].effect is NEW


def test_an_interface_that_leaves_takes_what_comes_in_by_it() -> None:
    two = replace(site(dr(), *OTHERS), interfaces=(ETH0, Interface("eth1", (IPv4Interface("10.61.0.2/24"),))))
    found = step(two, site(dr(), *OTHERS))
    assert found["DicomRouting"].effect is DROPS
    assert found["DicomRouting"].why == "eth1 leaves the document"
    assert found["OtherWeb"].effect is NONE


def test_sessions_are_counted_at_servers_that_left_too() -> None:
    gone = step(site(dr(), *OTHERS), site(*OTHERS))["DicomRouting"]
    assert (gone.sessions, gone.drops) == (5, 5)
    stays = change(dr(), scheduler=Scheduler.SH)
    assert (stays.sessions, stays.drops) == (5, 0)
    assert change(web(), pool=()).sessions == 1


def test_the_reasons_are_said_in_words() -> None:
    assert change(dr(), scheduler=Scheduler.SH, floor=1).why == "scheduler, floor change"
    pool = (replace(server(2), weight=50), replace(server(3), address=IPv4Address("10.60.0.99")), server(4))
    assert change(dr(), pool=pool).why.startswith(
        "vna1 leaves and finishes its 3 sessions; vna2 weighs 50; vna3 moves; vna4 joins; servers are looked "
    )
    assert change(dr(), pool=dr().pool[::-1]).why == "the order of its servers changes"
    assert change(dr(), check=Check(interval_s=9)).why == "check changes"
    assert "looked at anew" in change(dr(), check=Check(Ping())).why
    assert step(site(), site(dr()))["DicomRouting"].why == "it is new"
    assert {f.name for f in fields(VirtualService)} == {*_WORDS, "name", "check", "pool"}


_few = settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
"""Drawing a site costs more than all that is asked here."""


@_few
@given(
    sites(),
    st.dictionaries(st.tuples(st.sampled_from(["svc101", "svc102"]), st.just("vna1")), st.integers(0, 9)),
)
def test_the_same_again_has_no_effect(config: Config, live: dict[tuple[str, str], int]) -> None:
    assert all((i.effect, i.drops, i.why) == (NONE, 0, "") for i in impact(config, config, live))


@_few
@given(sites(), sites())
def test_every_service_is_told_once_and_what_no_longer_stands_drops(before: Config, after: Config) -> None:
    live = {(service.name, "vna1"): 7 for service in before.services}
    found = {i.service: i for i in impact(before, after, live)}
    assert list(found) == sorted({s.name for s in (*before.services, *after.services)})
    stay = {s.vip for s in after.services}
    for service in before.services:
        told = found[service.name]
        assert told.sessions == 7
        assert told.drops == (7 if told.effect is DROPS else 0)
        assert bool(told.why) is (told.effect is not NONE)
        if service.vip not in stay:
            assert told.effect is DROPS


_ORDER = [NONE, NEW, DROPS]
_CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "scheduler": st.sampled_from(Scheduler),
    "vip": st.sampled_from([IPv4Address("10.60.0.101"), IPv4Address("10.60.0.150")]),
    "floor": st.integers(0, 2),
    "forwarding": st.sampled_from(Forwarding).filter(lambda f: f is not Forwarding.TUN),
    "pool": st.sampled_from([(server(1),), (server(1), server(2)), (replace(server(1), weight=1),)]),
    "transparent": st.booleans(),
    "one_packet": st.booleans(),
}


@given(
    service=st.sampled_from([dr(), nat(vip=101), web(vip=101), web(vip=101, transparent=True)]),
    changes=st.fixed_dictionaries({}, optional=_CHANGES),
    company=st.booleans(),
)
def test_a_change_is_never_weaker_than_any_part_of_it(
    service: VirtualService, changes: dict[str, Any], company: bool
) -> None:
    others = OTHERS if company else ()
    before = site(service, *others)

    def weight(parts: dict[str, Any]) -> int:
        after = site(replace(service, **parts), *others)
        return _ORDER.index(step(before, after)[service.name].effect)

    assert all(weight({field: value}) <= weight(changes) for field, value in changes.items())
