"""What is checked: each service's questions, how often they are asked, and what came of them last."""

from __future__ import annotations

from collections.abc import Mapping

from willis.model.check import Check, Target
from willis.model.service import VirtualService
from willis.model.status import Status
from willis.plan.asks import asks
from willis.plan.members import Member, members, target
from willis.plan.noise import lines_a_day
from willis.plan.verdict import Result, Track

Row = dict[str, object]


def check_row(service: VirtualService, status: Status, tracks: Mapping[Target, Track]) -> Row:
    """A service's check and its servers."""
    check = service.check
    return {
        "service": service.name,
        "kind": check.kind.value,
        "asks": asks(check.question),
        "interval_s": check.interval_s,
        "timeout_s": check.timeout_s,
        "rise": check.rise,
        "fall": check.fall,
        "deep": _deep(check),
        "log_lines_a_day": lines_a_day(check),
        "servers": [_server_row(service, m, tracks) for m in members(service, status)],
    }


def _deep(check: Check) -> Row | None:
    if check.deep is None:
        return None
    question = check.deep.question
    return {"kind": question.kind.value, "asks": asks(question), "every": check.deep.every}


def _server_row(service: VirtualService, member: Member, tracks: Mapping[Target, Track]) -> Row:
    looked_at = target(service, member.server)
    track = tracks.get(looked_at, Track())
    looks = [each for each in (track.last_good, track.last_failed) if each is not None]
    last = max(looks, key=lambda result: result.at, default=None)
    return {
        "host": member.server.host,
        "address": str(looked_at.address),
        "port": looked_at.port or None,
        "deep_port": None if looked_at.deep is None else looked_at.deeper().port or None,
        "verdict": member.health.verdict.value,
        "reason": member.health.reason,
        "since": member.health.since,
        "last": None if last is None else _look(last),
    }


def _look(result: Result) -> Row:
    return {
        "at": result.at,
        "kind": result.kind.value,
        "ok": result.ok,
        "took_ms": round(result.took_ms, 2),
        "decoded": result.reason,
    }
