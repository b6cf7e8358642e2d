"""What ``willis status`` says of servers at a glance, and a plan of sessions."""

from __future__ import annotations

from typing import Any

from willis.cli import show


def server(host: str, **changes: Any) -> dict[str, Any]:
    plain = {"host": host, "standing": "open", "by_floor": False, "admin": "online", "verdict": "up"}
    return plain | changes


def test_servers_that_are_closed_or_busy_are_named() -> None:
    servers = [server("a", verdict="busy"), server("b"), server("c", verdict="dead", standing="down")]
    service = {
        "name": "Dicom",
        "vip": "10.60.0.101",
        "ports": [11112],
        "protocol": "tcp",
        "forwarding": "proxy",
        "state": "degraded",
        "fallback": None,
        "sessions": {"active": 0, "total": 0},
        "bytes": {"in": 0, "out": 0},
        "servers": servers,
    }
    status = {
        "engines": [],
        "services": [service],
        "node": "lb1",
        "role": "active",
        "revision": 1,
        "trial": None,
    }
    with show.out.capture() as said:
        show.show_status(status)
    words = said.get().split()
    at = words.index("2/3")
    assert words[at : at + 5] == ["2/3", "c", "dead", "a", "busy"]


def test_a_drain_says_what_is_still_open() -> None:
    order = {"where": "vna1", "admin": "drain", "until": None, "services": ["Dicom"], "without_servers": []}

    def said(active: int, longest_s: float | None) -> str:
        with show.out.capture() as found:
            show.show_order(order | {"sessions": {"active": active, "longest_s": longest_s}})
        return found.get().splitlines()[1]

    assert said(0, None) == "0 connections open now"
    assert said(1, 59.9) == "1 connection open now, the longest for 59s"
    assert said(3, 310) == "3 connections open now, the longest for 5m10s"
    assert said(3, 11_100).endswith("for 3h05m")
    assert said(3, 187_200).endswith("for 2d04h")


def impact(service: str, effect: str, sessions: int, why: str) -> dict[str, Any]:
    drops = sessions if effect == "drops" else 0
    return {"service": service, "effect": effect, "sessions": sessions, "drops": drops, "why": why}


IMPACT = [
    impact("Archive", "drops", 12, "10.60.0.101 leaves eth0"),
    impact("Mwl", "drops", 1, "10.60.0.107 leaves eth0"),
    impact("Web", "new-sessions", 3, "scheduler changes"),
    impact("Plain", "none", 9, ""),
]


def test_a_plan_says_how_many_sessions_it_drops_and_why() -> None:
    plan = {
        "impact": IMPACT,
        "changes": [],
        "guard": {"ok": True},
        "problems": [],
        "base": 1,
        "checksum": "ab",
    }
    with show.out.capture() as said:
        show.show_plan(plan)
    lines = [" ".join(line.split()) for line in said.get().splitlines()]
    assert "Archive 12 drops 12 sessions 10.60.0.101 leaves eth0" in lines
    assert "Mwl 1 drops 1 session 10.60.0.107 leaves eth0" in lines
    assert "Web 3 new sessions only scheduler changes" in lines
    assert "no effect on 1 other service" in lines


def test_what_was_applied_says_which_sessions_it_dropped() -> None:
    with show.out.capture() as said:
        show.show_applied({"revision": 2, "confirm_until": None, "impact": IMPACT})
    assert said.get().splitlines() == [
        "revision 2 is running",
        "■ Archive: drops 12 sessions, since 10.60.0.101 leaves eth0",
        "■ Mwl: drops 1 session, since 10.60.0.107 leaves eth0",
    ]
