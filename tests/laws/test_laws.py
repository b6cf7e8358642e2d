"""What every engine's compiler and the one diff must obey, for any site and any status.

Twice = once; there and back restores the exact state; a plan cut anywhere heals; the
order of services does not matter; a health flip reloads nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import dr, nat, seen, site, sites, statuses, web
from willis.engines.addresses.compile import compile_vips
from willis.engines.ebpf.compile import compile_l4
from willis.engines.haproxy.compile import HaproxyFiles, compile_l7
from willis.engines.kernel.compile import compile_settings
from willis.engines.memory import MemoryEngine
from willis.engines.nft.compile import compile_nft
from willis.engines.quiet.compile import compile_quiet
from willis.engines.routes.compile import compile_routes
from willis.model.config import Config
from willis.model.status import Status, Verdict
from willis.plan.diff import Artefacts, diff

Compile = Callable[[Config, Status], Artefacts]


def _haproxy(config: Config, status: Status) -> Artefacts:
    return compile_l7(config, status, files=HaproxyFiles.under(Path("/run/willis"), Path("/var/lib/willis")))


COMPILERS: dict[str, Compile] = {
    "addresses": compile_vips,
    "ebpf": compile_l4,
    "haproxy": _haproxy,
    "kernel": compile_settings,
    "nft": compile_nft,
    "quiet": compile_quiet,
    "routes": compile_routes,
}

every_engine = pytest.mark.parametrize("compile_", COMPILERS.values(), ids=COMPILERS)


def _converge(engine: MemoryEngine, config: Config, status: Status) -> int:
    changes = diff(engine.name, engine.observe(), engine.compile(config, status))
    engine.apply(changes)
    return len(changes)


@every_engine
@given(data=st.data())
def test_twice_is_once_and_there_and_back_restores(compile_: Compile, data: st.DataObject) -> None:
    first, second = data.draw(sites()), data.draw(sites())
    statuses_ = data.draw(statuses(first)), data.draw(statuses(second))
    engine = MemoryEngine("memory", compile_)
    _converge(engine, first, statuses_[0])
    before = dict(engine.held)
    assert _converge(engine, first, statuses_[0]) == 0
    _converge(engine, second, statuses_[1])
    _converge(engine, first, statuses_[0])
    assert engine.held == before


@every_engine
@given(data=st.data())
def test_a_plan_cut_anywhere_heals(compile_: Compile, data: st.DataObject) -> None:
    config = data.draw(sites())
    status = data.draw(statuses(config))
    engine = MemoryEngine("memory", compile_)
    changes = diff("memory", engine.observe(), engine.compile(config, status))
    engine.apply(changes[: data.draw(st.integers(0, len(changes)))])
    _converge(engine, config, status)
    assert engine.held == engine.compile(config, status)


@every_engine
@given(data=st.data())
def test_the_order_of_services_does_not_matter(compile_: Compile, data: st.DataObject) -> None:
    config = data.draw(sites())
    status = data.draw(statuses(config))
    shuffled = replace(config, services=tuple(data.draw(st.permutations(config.services))))
    assert compile_(config, status) == compile_(shuffled, status)


@every_engine
@settings(max_examples=30)
@given(data=st.data())
def test_a_health_flip_rewrites_no_file_no_address_and_no_translation(
    compile_: Compile, data: st.DataObject
) -> None:
    config = site(dr(), web(), nat())
    old, new = data.draw(statuses(config)), data.draw(statuses(config))
    changes = diff("memory", compile_(config, old), compile_(config, new))
    assert {c.kind for c in changes} <= {"member", "fallback", "table", "server", "down"}


@every_engine
def test_a_dead_server_touches_only_its_own_artefacts_and_the_tables(compile_: Compile) -> None:
    config = site(dr(), web(), nat())
    changes = diff("m", compile_(config, seen(config)), compile_(config, seen(config, vna1=Verdict.DEAD)))
    assert all(c.kind == "table" or c.key.endswith("/vna1") for c in changes)
