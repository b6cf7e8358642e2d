"""The rule behind half-open looks: when it is there, and when it is whole."""

from __future__ import annotations

import pytest

from tests.builders import dr, seen, site
from willis.engines.quiet import driver
from willis.engines.quiet.compile import STAMP, Quiet, compile_quiet, making, read
from willis.engines.quiet.driver import QuietEngine
from willis.plan.marks import HALF_OPEN, MASK, OURS, RETURNING


def test_it_is_there_as_soon_as_somebody_is_looked_at() -> None:
    assert compile_quiet(site(), seen(site())) == {}
    config = site(dr())
    assert compile_quiet(config, seen(config)) == {"quiet/checks": Quiet(STAMP)}


@pytest.mark.parametrize(
    "rules", [[], [("unsaid", "")], [("unsaid", STAMP), ("unsaid", "")], [("other", STAMP)]]
)
def test_what_is_not_whole_is_made_anew(rules: list[tuple[str, str]]) -> None:
    assert read(rules) != read([("unsaid", STAMP)])


def test_only_a_bare_ack_of_a_look_is_dropped() -> None:
    assert f"meta mark {HALF_OPEN:#x} tcp flags & (fin | syn | rst) == 0x0 drop" in making()
    assert len({mark & MASK for mark in (HALF_OPEN, OURS, RETURNING)}) == 3


def test_a_node_without_nft_does_without_it_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver.shutil, "which", lambda _: None)
    engine, config = QuietEngine(), site(dr())
    assert engine.compile(config, seen(config)) == {}
    assert "apt-get install nftables" in engine.alarms()[0]
