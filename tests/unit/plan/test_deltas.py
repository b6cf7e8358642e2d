"""A delta applied to the old report gives the new one."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from willis.plan.deltas import delta, only

_VALUES = st.none() | st.integers(0, 2) | st.fixed_dictionaries({"active": st.integers(0, 2)})


def _report(pools: dict[str, list[str]]) -> st.SearchStrategy[dict[str, Any]]:
    def server(host: str) -> st.SearchStrategy[dict[str, Any]]:
        return st.fixed_dictionaries({"host": st.just(host), "verdict": _VALUES, "sessions": _VALUES})

    def service(name: str, pool: list[str]) -> st.SearchStrategy[dict[str, Any]]:
        servers = st.tuples(*map(server, pool)).map(list)
        return st.fixed_dictionaries({"name": st.just(name), "state": _VALUES, "servers": servers})

    services = st.tuples(*(service(name, pool) for name, pool in pools.items())).map(list)
    return st.fixed_dictionaries({"revision": _VALUES, "engines": _VALUES, "services": services})


_POOLS = st.dictionaries(st.sampled_from("abcd"), st.lists(st.sampled_from("xyz"), unique=True))
_PAIRS = _POOLS.flatmap(lambda pools: st.tuples(_report(pools), _report(pools)))


def merged(old: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
    """As a client applies a delta."""
    new = deepcopy(old) | {key: value for key, value in news.items() if key != "services"}
    services = {row["name"]: row for row in new["services"]}
    for change in news.get("services", []):
        row = services[change["name"]]
        servers = {server["host"]: server for server in row["servers"]}
        row |= {key: value for key, value in change.items() if key != "servers"}
        for server in change.get("servers", []):
            servers[server["host"]] |= server
    return new


@given(_PAIRS)
def test_a_delta_applied_to_the_old_gives_the_new(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    old, new = pair
    found = delta(old, new)
    assert found is not None
    assert merged(old, found) == new
    assert (found == {}) is (old == new)


@given(_POOLS, _POOLS, st.data())
def test_other_services_or_pools_need_a_whole_report(
    one: dict[str, list[str]], two: dict[str, list[str]], data: st.DataObject
) -> None:
    same = list(one.items()) == list(two.items())
    assert (delta(data.draw(_report(one)), data.draw(_report(two))) is not None) is same


def test_what_one_may_not_read_is_left_out() -> None:
    news = {"revision": 2, "services": [{"name": "a"}, {"name": "b"}]}
    assert only(news, frozenset("b")) == {"revision": 2, "services": [{"name": "b"}]}
    assert only({"revision": 2}, frozenset("b")) == {"revision": 2}
