"""What Willis tells: status and explanations, as plain data in the shapes that scripts rely on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from willis.engines.port import Traffic
from willis.model.service import VirtualService
from willis.model.status import Place, Status, Verdict
from willis.plan.members import Member, members, state, uses_fallback
from willis.plan.terms import Term

_ADVICE = {
    Verdict.UP: "Nothing to do.",
    Verdict.BUSY: "The server answers but can take less than it is asked for; look at its load and at the "
    "free space of its disks.",
    Verdict.FAILING: "The server answers that it cannot do its work; look at its disk, its database and log.",
    Verdict.HUNG: "The port is open but the application does not answer; restart the application.",
    Verdict.DEAD: "Look whether the application runs and listens on this address and port, and whether a "
    "firewall lies between.",
    Verdict.MISCONFIGURED: "The server answers but refuses what the check asks; compare their settings.",
    Verdict.UNKNOWN: "Wait for the first check; if it stays, see the engine's log.",
}


Row = dict[str, object]

_NO_TRAFFIC, _NO_TERM = Traffic(), Term()


class _Moving(NamedTuple):
    """What changes of a server without a new document or verdict."""

    traffic: Traffic
    term: Term
    longest_s: float | None


class Rows:
    """The services of ``status --json``; a row is made anew only where something in it changed."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[VirtualService, tuple[Member, ...], list[_Moving], Row]] = {}

    def of(
        self,
        service: VirtualService,
        status: Status,
        traffic: Mapping[tuple[str, str], Traffic],
        terms: Mapping[Place, Term],
        longest: Mapping[tuple[str, str], float],
    ) -> Row:
        """One service. ``longest``: seconds by (service, host), where that is known."""
        pool = members(service, status)
        places = [(service.name, server.host) for server in (*service.pool, service.fallback) if server]
        moving = [_Moving(traffic.get(p, _NO_TRAFFIC), _term(p, terms), longest.get(p)) for p in places]
        made = self._made.get(service.name)
        if made is not None and made[0] is service and made[1] is pool and made[2] == moving:
            return made[3]
        row = _row(service, pool, moving)
        self._made[service.name] = service, pool, moving, row
        return row


def _row(service: VirtualService, pool: tuple[Member, ...], moving: list[_Moving]) -> Row:
    fallback = service.fallback
    counters = [each.traffic for each in moving]
    outs = [c.bytes_out for c in counters if c.bytes_out is not None]
    return {
        "name": service.name,
        "vip": str(service.vip),
        "ports": list(service.ports),
        "protocol": service.protocol.value,
        "application": service.application.value,
        "forwarding": service.forwarding.value,
        "state": state(pool).value,
        "fallback": {"host": fallback.host, "in_use": uses_fallback(service, pool)} if fallback else None,
        "sessions": {"active": sum(c.active for c in counters), "total": sum(c.total for c in counters)},
        "bytes": {"in": sum(c.bytes_in for c in counters), "out": sum(outs) if outs else None},
        "servers": [_server_row(service, m, now) for m, now in zip(pool, moving, strict=False)],
    }


def sentence(service: VirtualService, member: Member) -> str:
    """Why a server takes connections, or does not, in one sentence."""
    who = f"{member.server.host} in {service.name}"
    if member.admin.value != "online":
        return f"{who} is in {member.admin} by an administrator; its check says {member.health.verdict}."
    if member.full:
        return f"{who} is above its watermark and takes no new connections until it has room again."
    if member.away:
        return f"{who} wants no new connections by its own word; its check says {member.health.verdict}."
    though = (
        f" It serves all the same: the floor of {service.name} is {service.floor}." if member.by_floor else ""
    )
    if member.health.held and member.takes_new and not member.by_floor:
        though = " It serves all the same: nobody else does."
    word = "held back" if member.health.held else member.health.verdict
    return f"{who} is {word}: {member.health.reason}.{though}"


def advice(member: Member) -> str:
    """What to try."""
    if member.admin.value != "online":
        return f"Bring it back with 'willis online {member.server.host}'."
    if member.health.held:
        return "Nothing if you just repaired it; else look in its log for why it comes and goes."
    return _ADVICE[member.health.verdict]


def _term(place: tuple[str, str], terms: Mapping[Place, Term]) -> Term:
    """What becomes by itself of the state that holds: the server's own, else its host's."""
    if not terms:
        return _NO_TERM
    service, host = place
    return terms.get(Place(host, service)) or terms.get(Place(host)) or _NO_TERM


def _server_row(service: VirtualService, member: Member, now: _Moving) -> Row:
    server = member.server
    return {
        "host": server.host,
        "address": str(server.address),
        "port": server.port or service.ports[0],
        "weight": server.weight,
        "admin": member.admin.value,
        "until": now.term.until,
        "halt_when_idle": now.term.halt_when_idle,
        "verdict": member.health.verdict.value,
        "standing": member.standing.value,
        "by_floor": member.by_floor,
        "away": member.away,
        "full": member.full,
        "weight_now": member.weight,
        "reason": member.health.reason,
        "since": member.health.since,
        "sessions": {
            "active": now.traffic.active,
            "total": now.traffic.total,
            "longest_s": now.longest_s,
        },
    }
