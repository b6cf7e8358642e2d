"""Tables: total, fair, steady, and the same wherever they are built."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willis.engines.ebpf import maglev, turns
from willis.engines.ebpf.entries import Share, TableEntry
from willis.engines.ebpf.layout import TABLE_READ
from willis.engines.ebpf.table import pack_table, read_pool
from willis.model.service import Scheduler

SIZE = 4093
names = st.text("abcdefghijklmnop0123456789-.", min_size=1, max_size=12)
pools = st.dictionaries(names, st.integers(1, 256), min_size=1, max_size=12)


@given(pools)
def test_maglev_fills_every_slot_with_a_member_of_the_pool_by_weight(weights: dict[str, int]) -> None:
    table = maglev.fill(weights, SIZE)
    assert len(table) == SIZE
    found = Counter(table)
    assert found.keys() <= weights.keys()
    total = sum(weights.values())
    for name, weight in weights.items():
        # each may be one turn ahead or behind, and one makes up for all the others
        assert abs(found[name] - SIZE * weight / total) <= len(weights) + 1


@given(pools)
def test_maglev_does_not_depend_on_the_order(weights: dict[str, int]) -> None:
    assert maglev.fill(weights, 251) == maglev.fill(dict(reversed(weights.items())), 251)


@given(pools.filter(lambda pool: len(pool) > 1), st.data())
def test_maglev_moves_few_that_need_not_move(weights: dict[str, int], data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(sorted(weights)))
    before = maglev.fill(weights, SIZE)
    after = maglev.fill({name: weight for name, weight in weights.items() if name != gone}, SIZE)
    moved = sum(a != b for a, b in zip(before, after, strict=True) if a != gone)
    assert gone not in after
    assert moved <= 0.25 * SIZE


def test_maglev_moves_about_one_per_cent_in_an_even_pool() -> None:
    weights = {f"vna{n}": 100 for n in range(10)}
    before = maglev.fill(weights, SIZE)
    after = maglev.fill({name: 100 for name in weights if name != "vna4"}, SIZE)
    assert sum(a != b for a, b in zip(before, after, strict=True) if a != "vna4") <= 0.05 * SIZE


@pytest.mark.parametrize(
    ("members", "size"),
    [(1, 1021), (10, 1021), (11, 4093), (40, 4093), (41, 16381), (164, 65521), (999, 65521)],
)
def test_sizes_are_primes_of_a_hundred_slots_a_member(members: int, size: int) -> None:
    assert maglev.size_for(members) == size
    assert all(size % divisor for divisor in range(2, 256))


@given(pools)
def test_a_round_gives_each_member_exactly_its_turns(weights: dict[str, int]) -> None:
    order = turns.one_round(weights)
    found = Counter(order)
    assert all(found[name] * sum(weights.values()) == len(order) * weight for name, weight in weights.items())


@given(pools)
def test_turns_are_never_bunched(weights: dict[str, int]) -> None:
    """At every point of the round each member is less than one turn from its share, times the pool."""
    order = turns.one_round(weights)
    total = sum(weights.values())
    taken: Counter[str] = Counter()
    for i, name in enumerate(order, 1):
        taken[name] += 1
        assert all(abs(taken[n] - i * w / total) < len(weights) for n, w in weights.items())


def test_the_turns_of_five_one_one() -> None:
    assert "".join(turns.one_round({"a": 50, "b": 10, "c": 10})) == "aabacaa"
    assert turns.one_round({}) == []


entries = st.builds(
    lambda scheduler, weights: TableEntry(
        scheduler,
        tuple(Share(name, IPv4Address(i), weight) for i, (name, weight) in enumerate(weights.items())),
    ),
    st.sampled_from(Scheduler),
    st.dictionaries(names, st.integers(1, 256), max_size=30),
)


@given(entries)
def test_a_packed_table_says_what_it_was_built_from(entry: TableEntry) -> None:
    slots = {share.host: 7 + i for i, share in enumerate(entry.pool)}
    packed = pack_table(entry, slots)
    words = [int.from_bytes(packed[at : at + 8], "little") for at in range(0, len(packed), 8)]

    def read(first: int) -> tuple[int, ...]:
        return tuple((words[first:] + [0] * TABLE_READ)[:TABLE_READ])

    assert read_pool(read) == (entry.scheduler, [(slots[s.host], s.weight) for s in entry.pool])
    assert read_pool(lambda _: None) is None
    cells, order = words[0] & 0xFFFFFFFF, words[0] >> 32
    assert (order > 0) == (entry.scheduler is Scheduler.WRR and bool(entry.pool))
    assert len(words) == 2 + -(-len(slots) // 2) + -(-order // 4) + -(-cells // 4)
