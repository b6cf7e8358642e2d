"""Which conditions hold, and which of them become events. Pure.

A condition is told once: when it has held for a moment, and again when it has been gone for
a while. What comes back sooner is the same event, so a flapping server makes one event and
not hundreds. A host that fails in all its services is one condition, not sixteen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from willis.model.config import Config
from willis.model.event import Condition, Event, Severity
from willis.model.service import VirtualService
from willis.model.status import Admin, Place, Status, Verdict
from willis.plan.members import Member, State, members, state, uses_fallback

HOLDS_S = {Severity.ERROR: 0.0, Severity.WARNING: 2.0, Severity.INFO: 0.0}
"""How long a condition holds before it is an event."""
CALM_S = 10.0
"""How long it must be gone before the event has ended."""

_BAD = (Verdict.DEAD, Verdict.HUNG, Verdict.FAILING, Verdict.MISCONFIGURED)

Key = tuple[str, str]
"""What kind of condition, and what it is about."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A condition that holds, or held a moment ago."""

    condition: Condition
    since: float
    event: Event | None = None
    """None: it has not held for long enough yet."""
    gone: float | None = None
    """When it was first found gone."""


def conditions(config: Config, status: Status) -> dict[Key, Condition]:
    """Those of services, hosts, servers and orders."""
    pools = [(service, members(service, status)) for service in config.services]
    return dict(_conditions(pools, status))


def step(
    watched: Mapping[Key, Watched], found: Mapping[Key, Condition], now: float, next_number: int
) -> tuple[dict[Key, Watched], list[Event]]:
    """What is watched after another look, and the events that began, came back or ended."""
    after: dict[Key, Watched] = {}
    told: list[Event] = []
    for key in [*watched, *(key for key in found if key not in watched)]:
        one = _seen(watched.get(key), found.get(key), now)
        if one is None:
            continue
        if one.event is None and one.gone is None and now - one.since >= HOLDS_S[one.condition.severity]:
            one = replace(one, event=_begun(one, next_number))
            next_number += 1
        elif one.gone is not None and one.event is not None and now - one.gone >= CALM_S:
            told.append(replace(one.event, ended=one.gone))
            continue
        before = watched[key].event if key in watched else None
        if one.event is not None and one.event != before:
            told.append(one.event)
        after[key] = one
    return after, told


def _seen(known: Watched | None, condition: Condition | None, now: float) -> Watched | None:
    if known is None:
        return None if condition is None else Watched(condition, now)
    if condition is None:
        if known.event is None:
            return None
        return known if known.gone is not None else replace(known, gone=now)
    event = known.event
    if event is not None and known.gone is not None:
        event = replace(event, times=event.times + 1)
    return replace(known, condition=condition, event=event, gone=None)


def _begun(one: Watched, number: int) -> Event:
    condition = one.condition
    return Event(number, condition.severity, condition.about, condition.what, one.since)


def _conditions(
    pools: list[tuple[VirtualService, tuple[Member, ...]]], status: Status
) -> Iterator[tuple[Key, Condition]]:
    by_host: dict[str, list[tuple[VirtualService, Member]]] = {}
    for service, pool in pools:
        yield from _of_service(service, pool)
        for member in pool:
            by_host.setdefault(member.server.host, []).append((service, member))
    for host, parts in by_host.items():
        yield from _of_host(host, parts)
    for place, admin in status.admin.items():
        yield ("order", str(place)), _ordered(place, admin)


def _of_service(service: VirtualService, pool: tuple[Member, ...]) -> Iterator[tuple[Key, Condition]]:
    kept = sum(member.by_floor for member in pool)
    if kept:
        what = (
            f"checks leave too few servers, so {kept} that fail them serve too: the floor is {service.floor}"
        )
        yield ("floor", service.name), Condition(Severity.ERROR, service.name, what)
    if state(pool) is not State.DOWN or any(m.health.verdict is Verdict.UNKNOWN for m in pool):
        return
    if service.fallback is not None and uses_fallback(service, pool):
        what = f"no server takes new connections; the fallback server {service.fallback.host} does"
    else:
        what = "no server takes new connections"
    yield ("service", service.name), Condition(Severity.ERROR, service.name, what)


def _of_host(host: str, parts: list[tuple[VirtualService, Member]]) -> Iterator[tuple[Key, Condition]]:
    bad = [(s, m) for s, m in parts if m.health.verdict in _BAD]
    if len(bad) > 1 and len(bad) == len(parts):
        verdicts = sorted({m.health.verdict.value for _, m in bad})
        what = f"{' or '.join(verdicts)} in all {len(bad)} services: {bad[0][1].health.reason}"
        yield ("host", host), Condition(Severity.WARNING, host, what)
        return
    for service, member in parts:
        verdict = member.health.verdict
        about = f"{service.name}/{host}"
        if member.full:
            what = "above its watermark: it takes nothing new"
            yield ("full", about), Condition(Severity.WARNING, about, what)
        if verdict in _BAD or verdict is Verdict.BUSY:
            what = f"{verdict}: {member.health.reason}"
            yield ("server", about), Condition(Severity.WARNING, about, what)


def _ordered(place: Place, admin: Admin) -> Condition:
    return Condition(Severity.INFO, str(place), f"in {admin} by an administrator")
