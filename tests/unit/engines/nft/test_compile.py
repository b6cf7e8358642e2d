"""What is translated, and where it stands in nftables."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, IPv6Interface

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import ETH0, dr, nat, seen, server, site, sites, statuses, web
from willis.engines.nft.compile import Down, Timing, Translation, compile_nft
from willis.engines.nft.elements import artefacts, elements
from willis.engines.nft.rules import BASE
from willis.model.service import Forwarding, Protocol, Timeouts
from willis.model.status import Admin, Place, Status, Verdict
from willis.plan.marks import MASK, OURS


def test_nothing_stands_for_sites_without_translation() -> None:
    config = site(dr(), web())
    assert compile_nft(config, seen(config)) == {}


def test_nat_keeps_the_client_and_translates_a_port_of_its_own() -> None:
    config = site(nat(pool=(server(1), server(2, port=4242)), timeouts=Timeouts(7200, 60, 30)))
    held = compile_nft(config, seen(config))
    assert set(held) == {
        "base/inet",
        "timing/tcp-7200-60",
        "translation/Mwl/vna1",
        "translation/Mwl/vna2:4242",
    }
    assert held["base/inet"] == BASE
    assert held["timing/tcp-7200-60"] == Timing(Protocol.TCP, (7200, 60))
    second = held["translation/Mwl/vna2:4242"]
    assert isinstance(second, Translation)
    assert second == Translation(
        second.mark, "Mwl/vna2", IPv4Address("10.60.0.12"), 4242, None, False, "tcp-7200-60"
    )
    assert second.mark & MASK == OURS


def test_snat_takes_the_document_s_source_else_the_node_s_own_else_the_route_s() -> None:
    far = server(3, address=IPv4Address("192.0.2.7"))
    service = nat(forwarding=Forwarding.SNAT, pool=(server(1), far))
    config = site(service)
    near, routed = (compile_nft(config, Status())[f"translation/Mwl/vna{n}"] for n in (1, 3))
    assert isinstance(near, Translation)
    assert isinstance(routed, Translation)
    assert (near.source, near.masquerade) == (IPv4Address("10.60.0.2"), False)
    assert (routed.source, routed.masquerade) == (None, True)
    chosen = site(replace(service, source=IPv4Address("10.60.0.9")))
    for held in compile_nft(chosen, Status()).values():
        if isinstance(held, Translation):
            assert (held.source, held.masquerade) == (IPv4Address("10.60.0.9"), False)


def test_the_source_is_of_the_server_s_family() -> None:
    both = replace(ETH0, addresses=(*ETH0.addresses, IPv6Interface("fd60::2/64")))
    six = server(1, address=IPv6Address("fd60::11"))
    service = nat(forwarding=Forwarding.SNAT, pool=(six,))
    config = replace(site(replace(service, vip=IPv6Address("fd60::107"))), interfaces=(both,))
    held = compile_nft(config, Status())["translation/Mwl/vna1"]
    assert isinstance(held, Translation)
    assert held.source == IPv6Address("fd60::2")


def test_datagrams_have_one_time() -> None:
    held = compile_nft(site(nat(protocol=Protocol.UDP)), Status())
    assert held["timing/udp-300"] == Timing(Protocol.UDP, (300,))


def test_servers_that_may_carry_nothing_are_noted_and_stay_translated() -> None:
    config = site(nat(fallback=server(4)))
    status = replace(seen(config, vna1=Verdict.DEAD), admin={Place("vna4"): Admin.HALT})
    before, after = compile_nft(config, seen(config)), compile_nft(config, status)
    assert after.keys() - before.keys() == {"down/Mwl/vna1", "down/Mwl/vna4"}
    assert before.items() <= after.items()
    assert isinstance(after["down/Mwl/vna1"], Down)


def test_a_server_that_is_fallback_too_is_translated_once() -> None:
    same = site(nat(fallback=server(1)))
    assert len(compile_nft(same, Status())) == len(compile_nft(site(nat()), Status()))
    other = compile_nft(site(nat(fallback=server(1, port=4242))), Status())
    assert {"translation/Mwl/vna1", "translation/Mwl/vna1:4242"} <= other.keys()


@given(st.data())
def test_all_is_read_back_from_the_elements(data: st.DataObject) -> None:
    config = data.draw(sites())
    want = compile_nft(config, data.draw(statuses(config)))
    held = {place: each for artefact in want.values() for place, each in elements(artefact).items()}
    found = {key: value for key, value in want.items() if isinstance(value, Translation | Down)}
    assert artefacts(held) == found
