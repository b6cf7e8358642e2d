"""Drain, halt and online as values."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders import dr, seen, site, web
from willis.model.status import Admin, Place, Status, Verdict
from willis.plan.admin import AdminRefusal, find, left_without, order

CONFIG = site(dr(), web())


def test_a_host_and_one_of_its_real_servers_are_found() -> None:
    assert find(CONFIG, "vna1") == Place("vna1")
    assert find(CONFIG, "VitreaRead/vna2") == Place("vna2", "VitreaRead")


@pytest.mark.parametrize(
    ("text", "reason"),
    [("vna9", "no host 'vna9'"), ("Nope/vna1", "no service 'Nope'"), ("VitreaRead/vna5", "its pool: vna1")],
)
def test_what_is_not_there_is_refused_with_what_is(text: str, reason: str) -> None:
    with pytest.raises(AdminRefusal, match=reason):
        find(CONFIG, text)


def test_an_order_for_a_host_replaces_what_was_said_of_its_services() -> None:
    single = order(Status(), Place("vna1", "VitreaRead"), Admin.HALT)
    whole = order(single, Place("vna1"), Admin.DRAIN)
    assert whole.admin == {Place("vna1"): Admin.DRAIN}
    assert order(whole, Place("vna1"), Admin.ONLINE).admin == {}


def test_one_service_cannot_be_online_while_its_host_is_drained() -> None:
    drained = order(Status(), Place("vna1"), Admin.DRAIN)
    with pytest.raises(AdminRefusal, match="willis online vna1"):
        order(drained, Place("vna1", "VitreaRead"), Admin.ONLINE)


def test_services_left_without_servers_are_named_unless_they_were_so_before() -> None:
    old = seen(CONFIG, vna2=Verdict.DEAD, vna3=Verdict.DEAD)
    new = order(old, Place("vna1"), Admin.DRAIN)
    assert left_without(CONFIG, old, new) == ("DicomRouting", "VitreaRead")
    assert left_without(CONFIG, new, replace(new, admin={Place("vna1"): Admin.HALT})) == ()
