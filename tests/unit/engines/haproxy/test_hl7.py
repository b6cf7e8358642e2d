"""HL7: which servers are to be left, and which connections may end when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders import dr, seen, server, site
from willis.engines.haproxy import hl7
from willis.model.service import Application, Forwarding
from willis.model.status import Admin, Place, Verdict

FEED = dr("Feed", 117, 2398, forwarding=Forwarding.PROXY, application=Application.HL7, persistence=None)
SITE = site(FEED)
SESSIONS = (
    "0x55d0a: proto=tcpv4 src=10.60.0.31:4000 fe=Feed be=Feed srv=vna1 ts=00 epoch=0 age=1s calls=5\n"
    "0x55d0b: proto=tcpv6 src=2001:db8::31:4000 fe=Feed be=Feed srv=vna2 ts=00 epoch=0 age=1s calls=5\n"
    "0x55d0c: proto=unix_stream src=unix:1 fe=GLOBAL be=<NONE> srv=<none> ts=00 epoch=0 age=0s calls=2\n"
)
ONE, OTHER = "Feed 10.60.0.31:4000", "Feed 2001:db8::31:4000"
DRAIN = {("Feed", "vna1"): "drain"}
HALT = {("Feed", "vna1"): "halt"}
DEAD = {("Feed", "vna1"): "dead"}


def left(config=SITE, status=None) -> dict[tuple[str, str], str]:
    (found,) = hl7.lists(config.services, status or seen(config))
    assert found[0] == hl7.LEAVING
    return hl7.left(found[1])


def test_servers_are_left_by_order_or_by_a_bad_verdict() -> None:
    status = seen(SITE, vna1=Verdict.HUNG, vna2=Verdict.UNKNOWN)
    assert left() == {}
    assert left(status=status) == {("Feed", "vna1"): "hung"}
    ordered = replace(seen(SITE), admin={Place("vna1"): Admin.DRAIN, Place("vna2", "Feed"): Admin.HALT})
    assert left(status=ordered) == {("Feed", "vna1"): "drain", ("Feed", "vna2"): "halt"}
    away = replace(seen(SITE), away=frozenset({Place("vna3", "Feed")}))
    assert left(status=away) == {("Feed", "vna3"): "drain"}


def test_the_fallback_is_left_when_the_pool_serves() -> None:
    config = site(replace(FEED, fallback=server(4)))
    assert left(config) == {("Feed", "fallback:vna4"): "back"}
    assert ("Feed", "fallback:vna4") not in left(config, seen(config, Verdict.DEAD))


@pytest.mark.parametrize("changes", [{"forwarding": Forwarding.NAT}, {"application": Application.DICOM}])
def test_other_services_have_no_map(changes) -> None:
    other = site(replace(FEED, **changes))
    assert list(hl7.lists(other.services, seen(other))) == []


@pytest.mark.parametrize(
    ("states", "leave", "ends"),
    [
        (f"{ONE} quiet 5000", DRAIN, True),
        (f"{ONE} quiet 200", DRAIN, False),
        (f"{ONE} quiet 5000", {}, False),
        (f"{ONE} held 0", {}, True),
        (f"{ONE} busy 900000", DRAIN, False),
        (f"{ONE} strange 900000", DRAIN, False),
        (f"{ONE} busy 5000", HALT, False),
        (f"{ONE} busy 10000", HALT, True),
        (f"{ONE} strange 0", HALT, True),
        (f"{ONE} busy 5000", DEAD, False),
        (f"{ONE} busy 10000", DEAD, True),
        (f"{ONE} quiet 5000\n{ONE} busy 5000", DRAIN, False),
        (f"{OTHER} quiet 5000", DRAIN, False),
        ("Unknown command, but maybe one of the following ones is a better match:\n", HALT, False),
    ],
)
def test_a_connection_ends_only_between_messages(states: str, leave: dict, ends: bool) -> None:
    assert list(hl7.to_end(states + "\n", SESSIONS, leave)) == (["0x55d0a"] if ends else [])


def test_a_client_by_ipv6_is_found_too() -> None:
    assert list(hl7.to_end(f"{OTHER} quiet 5000\n", SESSIONS, {("Feed", "vna2"): "hung"})) == ["0x55d0b"]


def test_an_old_worker_is_brought_to_the_same_map() -> None:
    have = ("Feed/vna1 drain", "Feed/vna2 drain")
    want = ("Feed/vna1 halt", "Feed/vna3 down")
    assert list(hl7.corrections("/m", have, want)) == [
        "set map /m Feed/vna1 halt",
        "add map /m Feed/vna3 down",
        "del map /m Feed/vna2",
    ]
    assert list(hl7.corrections("/m", want, want)) == []
