"""Which conditions hold, and when they are told."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import dr, seen, site, web
from willis.model.event import Condition, Event, Severity
from willis.model.status import Admin, Health, Place, Status, Verdict
from willis.plan.events import CALM_S, Key, Watched, conditions, step
from willis.plan.members import targets

SITE = site(dr(), dr("DicomInternal", 102), web())
BAD = Condition(Severity.WARNING, "DicomRouting/vna1", "dead: refused")
KEY: Key = ("server", "DicomRouting/vna1")


def saw(verdict: Verdict, host: str, service: str | None = None) -> Status:
    """All up but this host, in one service or in all."""
    address = next(h.address for h in SITE.hosts if h.name == host)
    health = dict(seen(SITE).health)
    for target in targets(SITE):
        own = service is None or target.port in SITE.service(service).ports  # type: ignore[union-attr]
        if target.address == address and own:
            health[target] = Health(verdict, "refused")
    return Status(health=health)


def test_a_site_that_is_well_has_none() -> None:
    assert conditions(SITE, seen(SITE)) == {}
    assert conditions(SITE, Status()) == {}, "nothing is known yet"


def test_a_host_that_fails_everywhere_is_one_condition() -> None:
    found = conditions(SITE, saw(Verdict.DEAD, "vna1"))
    assert set(found) == {("host", "vna1")}
    assert "dead in all 3 services: refused" in found["host", "vna1"].what


def test_one_part_of_a_host_is_named_with_its_service() -> None:
    found = conditions(SITE, saw(Verdict.HUNG, "vna1", "VitreaRead"))
    assert {c.about for c in found.values()} == {"VitreaRead/vna1"}


def test_a_service_without_servers_is_an_error() -> None:
    dead = {t: Health(Verdict.DEAD, "refused") for t in targets(SITE)}
    found = conditions(SITE, Status(health=dead))
    assert found["service", "DicomRouting"].severity is Severity.ERROR
    assert {key for key in found if key[0] == "host"} == {("host", f"vna{n}") for n in (1, 2, 3)}


def test_an_order_is_noted() -> None:
    status = replace(seen(SITE), admin={Place("vna1"): Admin.DRAIN})
    assert conditions(SITE, status)["order", "vna1"].severity is Severity.INFO


def run(*looks: tuple[float, bool]) -> list[Event]:
    watched: dict[Key, Watched] = {}
    events: list[Event] = []
    for now, bad in looks:
        watched, told = step(watched, {KEY: BAD} if bad else {}, now, 1 + len({e.number for e in events}))
        events += told
    return events


def test_what_holds_for_a_moment_only_is_not_told() -> None:
    assert run((0, True), (1, False), (20, False)) == []


def test_an_event_begins_and_ends_once() -> None:
    began, ended = run((0, True), (2, True), (3, True), (4, False), (4 + CALM_S, False), (99, False))
    assert (began.since, began.ended) == (0, None)
    assert ended == replace(began, ended=4)


def test_what_comes_back_soon_is_the_same_event() -> None:
    told = run((0, True), (2, True), (4, False), (6, True), (8, False), (10, True))
    assert {event.number for event in told} == {1}
    assert told[-1].times == 3
    assert told[-1].ended is None


@given(st.lists(st.tuples(st.floats(0.1, 20), st.booleans()), max_size=60))
def test_every_beginning_has_one_end_or_is_open(steps: list[tuple[float, bool]]) -> None:
    now, looks = 0.0, []
    for pause, bad in steps:
        now += pause
        looks.append((now, bad))
    told = run(*looks)
    for number in {event.number for event in told}:
        mine = [event for event in told if event.number == number]
        assert [event.ended for event in mine[:-1]] == [None] * (len(mine) - 1)
        assert [event.times for event in mine] == sorted(event.times for event in mine)
    assert sum(1 for e in {e.number: e for e in told}.values() if e.ended is None) <= 1
