"""One transaction for what differs, and nothing else; and what nft lists, read back."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest

from tests.builders import nat, seen, server, site
from willis.engines.nft.compile import Timing, Translation, compile_nft
from willis.engines.nft.elements import Element, Elements, Stray, artefacts, elements
from willis.engines.nft.exhaustion import Exhaustion, Fill
from willis.engines.nft.listing import parse
from willis.engines.nft.rules import BASE, CHAINS, stamps
from willis.engines.nft.script import script
from willis.engines.port import EngineError
from willis.model.service import Protocol
from willis.model.status import Verdict
from willis.plan.diff import Artefacts, diff

ONE = Translation(0x57000001, "Mwl/vna1", IPv4Address("10.60.0.11"), None, None, False, "tcp-14400-120")


def held_by(want: Artefacts) -> Elements:
    return {place: each for artefact in want.values() for place, each in elements(artefact).items()}


def step(have: Artefacts, want: Artefacts) -> list[str]:
    return script(held_by(have), diff("nft", have, want)).splitlines()


def test_a_translation_is_elements_of_four_kinds() -> None:
    six = replace(
        ONE,
        address=IPv6Address("fd60::11"),
        port=104,
        source=IPv6Address("fd60::2"),
    )
    assert step({}, {six.key: six}) == [
        'add element inet willis endpoint6 { 0x57000001 comment "Mwl/vna1" : fd60::11 . 104 }',
        "add element inet willis source6 { 0x57000001 : fd60::2 }",
        "add element inet willis timing { 0x57000001 : jump tcp-14400-120 }",
        "add element inet willis replies { 0x57000001 }",
    ]


def test_a_change_touches_only_what_differs() -> None:
    hidden = replace(ONE, masquerade=True)
    other = replace(ONE, mark=0x57000002, label="Mwl/vna2")
    assert step({ONE.key: ONE, other.key: other}, {hidden.key: hidden, other.key: other}) == [
        "add element inet willis routed { 0x57000001 }"
    ]
    assert step({ONE.key: ONE, other.key: other}, {ONE.key: ONE}) == [
        "delete element inet willis address4 { 0x57000002 }",
        "delete element inet willis timing { 0x57000002 }",
        "delete element inet willis replies { 0x57000002 }",
    ]


def test_a_health_flip_is_one_element() -> None:
    config = site(nat())
    before = compile_nft(config, seen(config))
    after = compile_nft(config, seen(config, vna1=Verdict.DEAD))
    (line,) = step(before, after)
    assert line.startswith("add element inet willis down { 0x57")
    (line,) = step(after, before)
    assert line.startswith("delete element inet willis down { 0x57")


def test_the_whole_comes_in_order_and_goes_as_one() -> None:
    config = site(nat())
    want = compile_nft(config, seen(config))
    lines = step({}, want)
    assert lines[0] == "add table inet willis"
    chains = [
        lines.index(f"add chain inet willis {name} {{ {text}; policy accept; }}")
        for name, text in CHAINS.items()
    ]
    objects = next(i for i, line in enumerate(lines) if line.startswith("add ct timeout"))
    added = next(i for i, line in enumerate(lines) if line.startswith("add element"))
    assert max(chains) < objects < added
    assert step(want, {}) == ["add table inet willis", "delete table inet willis"]


def test_a_timing_goes_after_the_elements_that_lead_to_it() -> None:
    old, new = Timing(Protocol.TCP, (14400, 120)), Timing(Protocol.UDP, (300,))
    moved = replace(ONE, timing=new.name)
    lines = step({old.key: old, ONE.key: ONE}, {new.key: new, moved.key: moved})
    assert lines[0] == (
        "add ct timeout inet willis udp-300 { protocol udp; policy = { unreplied : 300, replied : 300 }; }"
    )
    element = lines.index("delete element inet willis timing { 0x57000001 }")
    assert element < lines.index("delete chain inet willis tcp-14400-120")
    assert lines[-1] == "delete ct timeout inet willis tcp-14400-120"


@pytest.mark.parametrize(
    "bad",
    [
        replace(ONE, label='Mwl/vna1" : 1.2.3.4 } \n flush ruleset'),
        replace(ONE, label="Mwl/vna1\n"),
        replace(ONE, address=IPv6Address("fe80::1%eth0")),
        replace(ONE, timing="tcp-1-1 comment"),
        replace(ONE, timing="accept"),
    ],
)
def test_a_value_cannot_add_a_word(bad: Translation) -> None:
    with pytest.raises(EngineError, match="cannot stand"):
        step({}, {bad.key: bad})


def test_what_is_not_whole_is_stray_and_goes() -> None:
    broken = held_by({ONE.key: ONE})
    del broken["replies", ONE.mark]
    broken["routed", 7] = Element()
    found = artefacts(broken)
    assert found == {"stray/0x57000001": Stray(ONE.mark), "stray/0x00000007": Stray(7)}
    lines = script(broken, diff("nft", found, {ONE.key: ONE})).splitlines()
    assert lines == [
        "delete element inet willis routed { 0x00000007 }",
        "add element inet willis replies { 0x57000001 }",
    ]


def test_two_marks_under_one_name_are_not_both_kept() -> None:
    twin = replace(ONE, mark=0x57000002)
    found = artefacts({**elements(ONE), **elements(twin)})
    assert found == {ONE.key: ONE, "stray/0x57000002": Stray(twin.mark)}


def _listed(*extra: object, policy: str = "accept") -> str:
    chains = [{"chain": {"name": name, "policy": policy}} for name in CHAINS]
    rules = [{"rule": {"chain": chain, "comment": comment}} for chain, comment in reversed(stamps())]
    return json.dumps({"nftables": [{"metainfo": {}}, *chains, *reversed(rules), *extra]})


def test_a_listing_is_read_whatever_else_stands_in_the_table() -> None:
    listing = parse(
        _listed(
            {"chain": {"name": "tcp-14400-120"}},
            {"rule": {"chain": "tcp-14400-120", "comment": "tcp-14400-120"}},
            {
                "map": {
                    "name": "address4",
                    "elem": [[{"elem": {"val": ONE.mark, "comment": "Mwl/vna1"}}, "10.60.0.11"]],
                }
            },
            {"map": {"name": "timing", "elem": [[ONE.mark, {"jump": {"target": "tcp-14400-120"}}]]}},
            {"set": {"name": "replies", "elem": [{"elem": {"val": ONE.mark, "counter": {"bytes": 42}}}]}},
            {"set": {"name": "somebody_s", "elem": [1, 2]}},
        )
    )
    timing = Timing(Protocol.TCP, (14400, 120))
    assert listing.artefacts == {BASE.key: BASE, ONE.key: ONE, timing.key: timing}
    assert listing.replies == {ONE.mark: 42}


def test_rules_that_were_touched_are_mended() -> None:
    assert parse(_listed()).artefacts == {BASE.key: BASE}
    foreign = {"rule": {"chain": "to_server"}}
    for text in (_listed(foreign), _listed(policy="drop"), json.dumps({"nftables": []})):
        held = parse(text).artefacts
        assert held != {BASE.key: BASE}
        lines = script({}, diff("nft", held, {BASE.key: BASE})).splitlines()
        assert "flush chain inet willis to_server" in lines


def test_a_listing_of_another_world_is_told() -> None:
    with pytest.raises(EngineError, match="cannot be read"):
        parse('{"nftables": [{"set": {}}]}')


def test_a_full_table_and_missing_ports_are_told_for_a_while() -> None:
    watch = Exhaustion()
    assert watch.look(Fill(100, 1000, failed=5), 1000.0) == ()
    (full,) = watch.look(Fill(800, 1000, failed=5), 1001.0)
    assert "800 of 1,000 connections (80 %)" in full
    (ports,) = watch.look(Fill(100, 1000, failed=17), 1002.0)
    assert ports.startswith("12 new connections were dropped")
    assert watch.look(Fill(100, 1000, failed=17), 1061.0) == (ports,)
    assert watch.look(Fill(100, 1000, failed=17), 1063.0) == ()


def test_ports_of_the_document_stand_in_the_elements() -> None:
    config = site(nat(pool=(server(1, port=4242),)))
    assert any("10.60.0.11 . 4242" in line for line in step({}, compile_nft(config, seen(config))))
