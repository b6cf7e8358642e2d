"""Who takes new connections: the one place where verdicts and administrative states meet.

Every engine compiles from the members given here, so layer 4 and layer 7 can never disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import cast

from willis.model.check import Check, Command, Fixed, HalfOpen, Ping, Question, Target
from willis.model.config import Config
from willis.model.service import Need, RealServer, VirtualService
from willis.model.status import Admin, Health, Place, Status, Verdict
from willis.plan.refusals import combined


class Standing(StrEnum):
    """What a member may carry: ``open`` anything, ``drain`` what it has, ``down`` nothing."""

    OPEN = "open"
    DRAIN = "drain"
    DOWN = "down"


class State(StrEnum):
    """A virtual service as a whole: all, some or none of its members open."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Member:
    """A real server in a pool, with all that decides whether it takes connections."""

    server: RealServer
    standing: Standing
    admin: Admin
    health: Health
    share: float = 1.0
    """Of its weight, while it starts slowly or is busy."""
    full: bool = False
    """It is above the watermark."""
    away: bool = False
    """It wants no new connections by its own word."""
    by_floor: bool = False
    """Its check says no; it serves since too few others are left."""

    @property
    def weight(self) -> int:
        """By which new connections are shared out now; only a document's 0 gives 0."""
        return self.server.weight and max(1, round(self.server.weight * self.share))

    @property
    def takes_new(self) -> bool:
        return self.standing is Standing.OPEN and self.server.weight > 0


_BUSY_SHARE = 0.5
_NEED_CHECK = Check(HalfOpen(), interval_s=2.0)
_SEVERITY = {Admin.ONLINE: 0, Admin.DRAIN: 1, Admin.HALT: 2}
_OPEN = (Verdict.UP, Verdict.BUSY)
_DOWN = (Verdict.DEAD, Verdict.HUNG)


def target(service: VirtualService, server: RealServer) -> Target:
    """What the check of ``server`` in ``service`` looks at."""
    check = service.check
    port = check.port or server.port or service.ports[0]
    deep = check.deep
    if isinstance(check.question, Ping | Fixed) and deep is None:
        port = 0
    if deep is not None:
        deep = replace(deep, question=_told(deep.question, service))
    return Target(server.address, port, _told(check.question, service), deep)


def _told(question: Question, service: VirtualService) -> Question:
    """A command is told which service asks."""
    if not isinstance(question, Command):
        return question
    return replace(question, vip=service.vip, vip_port=service.ports[0] if service.ports else 0)


def targets(config: Config) -> dict[Target, Check]:
    """Every target once, with the tightest check that any service asks of it."""
    wanted: dict[Target, Check] = {}
    for service in config.services:
        for server in service.pool:
            key = target(service, server)
            known = wanted.get(key)
            if known is None or service.check.interval_s < known.interval_s:
                wanted[key] = service.check
            for need in server.needs:
                wanted.setdefault(needed(need), _NEED_CHECK)
    return wanted


def admin_of(status: Status, service: str, host: str) -> Admin:
    """The stricter of the host's state and its state in this service."""
    if not status.admin:
        return Admin.ONLINE
    states = (status.admin.get(Place(host)), status.admin.get(Place(host, service)))
    return max((s for s in states if s is not None), key=_SEVERITY.__getitem__, default=Admin.ONLINE)


def members(service: VirtualService, status: Status) -> tuple[Member, ...]:
    """The members of a service in the pool's order.

    An unknown verdict takes no new connection but keeps what it carries: after a
    restart nothing is cut before the first look.

    Every engine and every report asks the same of the same service and status: it is concluded once.
    """
    known = status.pools.get(service.name)
    if known is not None and known[0] is service:
        return cast(tuple[Member, ...], known[1])
    found = _members(service, status)
    status.pools[service.name] = service, found
    return found


def _members(service: VirtualService, status: Status) -> tuple[Member, ...]:
    found = []
    for server in service.pool:
        admin = admin_of(status, service.name, server.host)
        place = Place(server.host, service.name)
        checked = _with_needs(status.health.get(target(service, server), Health()), server, status)
        checked = _by_path(checked, status.paths.get(place))
        health = combined(checked, status.busy.get(place))
        share = status.shares.get(place, 1.0)
        if health.verdict is Verdict.BUSY:
            share *= _BUSY_SHARE
        found.append(Member(server, _standing(admin, health.verdict), admin, health, share))
    found = [_at_its_mark(m) if Place(m.server.host, service.name) in status.full else m for m in found]
    found = _without_those_away(found, service, status)
    if sum(member.takes_new for member in found) < service.floor:
        found = [_kept(member) for member in found]
    if service.fallback is None and not any(member.takes_new for member in found):
        found = [_tried(member) for member in found]
    return tuple(found)


def _without_those_away(found: list[Member], service: VirtualService, status: Status) -> list[Member]:
    """A server's own word drains it, unless it would be the last: mad agents must not empty a pool."""
    away = {place.host for place in status.away if place.service == service.name}
    staying = [m for m in found if m.takes_new and m.server.host not in away]
    if not away or len(staying) < max(1, service.floor):
        return found
    return [
        replace(m, standing=Standing.DRAIN, away=True)
        if m.server.host in away and m.standing is Standing.OPEN
        else m
        for m in found
    ]


def _at_its_mark(member: Member) -> Member:
    """Full: it keeps what it has, and gets nothing new until it has room again."""
    if member.standing is not Standing.OPEN:
        return member
    return replace(member, standing=Standing.DRAIN, full=True)


def _with_needs(checked: Health, server: RealServer, status: Status) -> Health:
    """A server whose database is gone fails, however well it answers itself."""
    if checked.verdict not in _OPEN:
        return checked
    for need in server.needs:
        found = status.health.get(needed(need), Health())
        if found.verdict in _DOWN:
            word = "held back" if found.held else found.verdict
            reason = f"its {need.name} is {word}: {found.reason}"
            return Health(Verdict.FAILING, reason, found.since, found.held)
    return checked


def _by_path(checked: Health, path: Health | None) -> Health:
    """A server that answers at its own address is of no use to clients that do not reach it by the VIP."""
    return checked if path is None or checked.verdict not in _OPEN else path


def needed(need: Need) -> Target:
    """What is looked at to know whether a need is met."""
    return Target(need.address, need.port)


def _kept(member: Member) -> Member:
    """Checks alone do not empty a pool that has a floor."""
    if member.admin is not Admin.ONLINE or member.standing is Standing.OPEN:
        return member
    return replace(member, standing=Standing.OPEN, by_floor=True)


def _tried(member: Member) -> Member:
    """One that answers but is held back serves where nobody else would."""
    if member.admin is not Admin.ONLINE or not member.health.held:
        return member
    return replace(member, standing=Standing.OPEN)


def uses_fallback(service: VirtualService, pool: tuple[Member, ...]) -> bool:
    """Whether new connections go to the fallback server: it exists and no member takes any."""
    return service.fallback is not None and not any(m.takes_new for m in pool)


def state(pool: tuple[Member, ...]) -> State:
    """The service's state from its members."""
    able = sum(m.takes_new for m in pool)
    if able == 0:
        return State.DOWN
    whole = able == len(pool) and not any(m.by_floor or m.health.held for m in pool)
    return State.UP if whole else State.DEGRADED


def _standing(admin: Admin, verdict: Verdict) -> Standing:
    if admin is Admin.HALT or verdict in _DOWN:
        return Standing.DOWN
    if admin is Admin.DRAIN or verdict not in _OPEN:
        return Standing.DRAIN
    return Standing.OPEN
