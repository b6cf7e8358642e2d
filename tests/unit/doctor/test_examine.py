"""An examination says what it did not look at, and never fails."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from tests.builders import dr, site
from willis.doctor import examine as room
from willis.doctor.examine import examine
from willis.doctor.finding import Severity
from willis.doctor.seen import Learnt, Link, Reply, Size
from willis.model.status import Status

CONFIG = site(dr())
LINK = Link(
    "eth0", b"\x02\0\0\0\0\x01", 1500, True, frozenset(map(IPv4Address, ("10.60.0.2", "10.60.0.101")))
)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A wire on which all is well."""
    monkeypatch.setattr(room.kernel, "links", lambda: {"eth0": LINK})
    monkeypatch.setattr(room.kernel, "gateways", tuple)
    monkeypatch.setattr(room.neighbours, "owners", _owners)
    monkeypatch.setattr(room.path, "knock", lambda knocks, _: dict.fromkeys(knocks, Reply.OPEN))
    monkeypatch.setattr(room.size, "sizes", lambda hosts: dict.fromkeys(hosts, Size.WHOLE))
    return monkeypatch


def _owners(
    places: list[tuple[str, IPv4Address]], *_: object
) -> dict[tuple[str, IPv4Address], frozenset[bytes]]:
    hosts = set(room.addresses_of(CONFIG))
    return {
        p: frozenset({b"\x02\0\0\0\x01" + p[1].packed[-1:]}) if p[1] in hosts else frozenset() for p in places
    }


def test_where_all_is_well_only_the_shallow_check_is_noted(world: pytest.MonkeyPatch) -> None:
    report = examine(CONFIG, Status(), Learnt())
    assert [f.severity for f in report.findings] == [Severity.NOTE]
    assert report.passed_over == ()
    assert report.looked_at[0] == "who answers for 1 VIP and 5 hosts on eth0"


def test_the_gravest_stands_first(world: pytest.MonkeyPatch) -> None:
    world.setattr(room.path, "knock", lambda knocks, _: {k: _missing_on_vna2(k) for k in knocks})
    report = examine(CONFIG, Status(), Learnt())
    assert [f.severity for f in report.findings] == [Severity.ERROR, Severity.NOTE]


def _missing_on_vna2(knock: room.path.Knock) -> Reply:
    at_vip = knock.destination == IPv4Address("10.60.0.101")
    return Reply.SILENT if at_vip and knock.mac[-1] == 12 else Reply.OPEN


def test_without_the_right_to_raw_sockets_it_says_so(world: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    world.setattr(room.neighbours, "owners", refuse)
    report = examine(CONFIG, Status(), Learnt())
    assert [line for line in report.passed_over if "CAP_NET_RAW" in line]
    assert [f.severity for f in report.findings] == [Severity.NOTE]


def test_a_probe_that_fails_leaves_what_the_others_saw(world: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(19, "No such device")

    world.setattr(room.path, "knock", fail)
    report = examine(CONFIG, Status(), Learnt())
    assert [line for line in report.passed_over if "No such device" in line]
    assert report.looked_at[0].startswith("who answers")


def test_hosts_that_answer_no_ping_are_told(world: pytest.MonkeyPatch) -> None:
    world.setattr(room.size, "sizes", lambda hosts: dict.fromkeys(hosts, Size.NONE))
    report = examine(CONFIG, Status(), Learnt())
    assert report.passed_over == (
        "packets of full size to vna1, vna2, vna3, vna4, vna5: they answer no ping",
    )
