"""Rights: deny by default, and no name that opens more than it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import dr, site, web
from willis.model.identity import NOBODY, PATTERN, Caller, Grant, Need, Role, Way
from willis.plan.passwords import weakness
from willis.plan.rights import allowed, everywhere, is_admin, may, ordered, sees

CONFIG = site(dr(), dr("vna1", 102), web())
"""With a service that is called like a host."""


def caller(role: Role, *services: str) -> Caller:
    return Caller("ann", Way.SESSION, (Grant(role, services or ("*",)),))


@given(st.sampled_from(Need), st.lists(st.sampled_from(["DicomRouting", "x"])))
def test_nobody_may_nothing_but_sign_in(need: Need, services: list[str]) -> None:
    assert may(NOBODY, need) == (need is Need.NOTHING)
    assert not allowed(NOBODY, need, services)
    assert not everywhere(NOBODY, need)


@given(st.sampled_from(Role))
def test_who_may_in_some_services_may_nothing_of_the_whole_site(role: Role) -> None:
    some = caller(role, "Dicom*", "**", "?*")
    assert not any(everywhere(some, need) for need in Need)
    assert not may(some, Need.AUDIT)
    assert not may(some, Need.ADMINISTER)
    assert not is_admin(some.grants)


def test_patterns_are_whole_names_and_case_counts() -> None:
    names = ["DicomRouting", "Dicom", "dicomrouting", "MyDicomRouting"]
    assert allowed(caller(Role.VIEWER, "Dicom*"), Need.READ, names) == {"DicomRouting", "Dicom"}
    assert allowed(caller(Role.VIEWER, "Dicom?outing"), Need.READ, names) == {"DicomRouting"}


@pytest.mark.parametrize("pattern", ["", "a/b", "[a-z]*", "a\n", "a b", "*" * 64, "a,b", "é"])
def test_what_is_no_pattern(pattern: str) -> None:
    assert not PATTERN.match(pattern)


def test_roles_add_up_each_in_its_services() -> None:
    both = Caller("bob", Way.SESSION, (Grant(Role.VIEWER), Grant(Role.OPERATOR, ("Dicom*",))))
    names = ["DicomRouting", "VitreaRead"]
    assert allowed(both, Need.OPERATE, names) == {"DicomRouting"}
    assert allowed(both, Need.READ, names) == set(names)
    assert everywhere(both, Need.READ)
    assert not everywhere(both, Need.OPERATE)


def test_an_order_for_a_host_touches_all_its_services_however_they_are_called() -> None:
    assert ordered(CONFIG, "vna1") == {"DicomRouting", "vna1", "VitreaRead"}
    assert ordered(CONFIG, "DicomRouting/vna1") == {"DicomRouting"}
    assert ordered(CONFIG, "a/DicomRouting/vna1") == {"a/DicomRouting"}
    assert ordered(CONFIG, "nobody") == frozenset()


def test_events_are_read_by_who_may_read_one_of_their_services() -> None:
    some = caller(Role.VIEWER, "Dicom*")
    assert sees(some, CONFIG, "DicomRouting")
    assert sees(some, CONFIG, "DicomRouting/vna1")
    assert sees(some, CONFIG, "vna1")
    assert not sees(some, CONFIG, "VitreaRead")
    assert not sees(some, CONFIG, "VitreaRead/vna1")
    assert not sees(some, CONFIG, "haproxy")
    assert sees(caller(Role.VIEWER), CONFIG, "haproxy")


@given(st.text(min_size=12, max_size=1000))
def test_any_long_text_with_some_variety_is_a_password(password: str) -> None:
    named = weakness("zzzzzz", password)
    assert (named is None) == (len(set(password.casefold())) >= 5 and "zzzzzz" not in password.casefold())
