"""What Willis tells: status and explanations, as plain data in the shapes that scripts rely on."""

from __future__ import annotations

from collections.abc import Mapping

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

_NOTHING = Traffic()


class Rows:
    """The services of ``status --json``. What only documents and verdicts change is kept between looks."""

    def __init__(self) -> None:
        self._standing: dict[str, tuple[VirtualService, tuple[Member, ...], list[Row]]] = {}

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
        known = self._standing.get(service.name)
        if known is None or known[0] is not service or known[1] is not pool:
            known = service, pool, [_standing_of(service, member) for member in pool]
            self._standing[service.name] = known
        return _service_row(service, pool, known[2], traffic, terms, longest)


def _service_row(
    service: VirtualService,
    pool: tuple[Member, ...],
    standing: list[Row],
    traffic: Mapping[tuple[str, str], Traffic],
    terms: Mapping[Place, Term],
    longest: Mapping[tuple[str, str], float],
) -> Row:
    name = service.name
    counters = [traffic.get((name, m.server.host), _NOTHING) for m in pool]
    rows = []
    for member, row, counted in zip(pool, standing, counters, strict=True):
        host = member.server.host
        sessions = {
            "active": counted.active,
            "total": counted.total,
            "longest_s": longest.get((name, host)),
        }
        rows.append(row | _term(name, host, terms) | {"sessions": sessions})
    fallback = service.fallback
    if fallback is not None:
        counters.append(traffic.get((name, fallback.host), _NOTHING))
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
        "servers": rows,
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


_FOR_GOOD: Row = {"until": None, "halt_when_idle": False}


def _term(service: str, host: str, terms: Mapping[Place, Term]) -> Row:
    """What becomes by itself of the state that holds: the server's own, else its host's."""
    term = (terms.get(Place(host, service)) or terms.get(Place(host))) if terms else None
    return _FOR_GOOD if term is None else {"until": term.until, "halt_when_idle": term.halt_when_idle}


def _standing_of(service: VirtualService, member: Member) -> Row:
    """A real server's row without what changes by itself."""
    server = member.server
    return {
        "host": server.host,
        "address": str(server.address),
        "port": server.port or service.ports[0],
        "weight": server.weight,
        "admin": member.admin.value,
        **_FOR_GOOD,
        "verdict": member.health.verdict.value,
        "standing": member.standing.value,
        "by_floor": member.by_floor,
        "away": member.away,
        "full": member.full,
        "weight_now": member.weight,
        "reason": member.health.reason,
        "since": member.health.since,
    }
