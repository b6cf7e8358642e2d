"""No text does harm in a document: it is refused where it stands, or stays one token of what is made."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path as File
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import seen
from tests.unit.config.hostile import MARK, TEXTS, Slot, leaves, slots
from tests.unit.engines.haproxy.test_haproxy_golden import CASES, FILES, files_in, judged
from willis.config import load, write
from willis.config.problem import Path, point
from willis.config.scalars import Unfit
from willis.config.splice import say
from willis.engines.addresses.compile import compile_vips
from willis.engines.ebpf.compile import compile_l4
from willis.engines.haproxy.compile import CONFIG, compile_l7
from willis.engines.kernel.compile import compile_settings
from willis.engines.nft.compile import compile_nft
from willis.engines.quiet.compile import compile_quiet
from willis.engines.routes.compile import compile_routes
from willis.model.config import Config

ROOT = File(__file__).parents[3]
SLOTS = tuple(slots())
_HARMLESS = (MARK, f"/{MARK}", MARK.upper())
_TOKEN = re.compile(r"[\x20-\x7e]+\Z")
"""What is left of a value that was accepted: printable ASCII."""


def _reads(slot_kind: Any, text: str) -> bool:
    try:
        slot_kind.read(text, plain=False)
    except Unfit:
        return False
    return True


def test_what_a_value_may_be_is_printable_ascii_whatever_its_place() -> None:
    wrong = [
        (slot.path, text)
        for slot in SLOTS
        for text in TEXTS
        if _reads(slot.kind, text) and not (_TOKEN.match(text) and len(text) < 4096)
    ]
    assert not wrong


@settings(max_examples=150)
@given(st.sampled_from(SLOTS), st.sampled_from(TEXTS) | st.text(max_size=40))
def test_a_text_that_is_refused_is_refused_where_it_stands(slot: Slot, text: str) -> None:
    """Or the whole document is, by the character and its line, where YAML itself has no place for it."""
    loaded = load(json.dumps(slot.tree(text)))
    assert loaded.config is None
    if _reads(slot.kind, text):
        return
    at = point((*slot.path, text)) if slot.is_name else point(slot.path)
    places = {p.pointer for p in loaded.problems if p.severity == "error"}
    assert at in places or any(at.startswith(place) for place in places), (at, places)
    for problem in loaded.problems:
        assert str(problem).isprintable()
        assert len(str(problem)) < 2000


def _documents() -> Iterator[dict[str, Any]]:
    for config, _ in CASES.values():
        yield say(write(config))
    for file in sorted((ROOT / "examples").glob("*.yaml")):
        yield say(file.read_text())


def _with(said: dict[str, Any], path: Path, value: str) -> dict[str, Any]:
    changed = deepcopy(said)
    at: Any = changed
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return changed


@cache
def _accepted() -> tuple[tuple[str, str], ...]:
    """Documents with a harmless text in one place, and the same with a hostile one there that is accepted."""
    found: dict[tuple[Any, ...], tuple[str, str]] = {}
    for said in _documents():
        for path, kind in leaves(said):
            harmless = next((text for text in _HARMLESS if _reads(kind, text)), None)
            place = tuple(step for step in path[2:] if isinstance(step, str))
            for text in TEXTS:
                if harmless and (place, text) not in found and _reads(kind, text):
                    pair = json.dumps(_with(said, path, harmless)), json.dumps(_with(said, path, text))
                    found[place, text] = pair
    return tuple(found.values())


def _made(config: Config) -> dict[str, dict[str, Hashable]]:
    status = seen(config)
    return {
        "haproxy": dict(compile_l7(config, status, files=FILES, layer4=True, transparent=True)),
        "ebpf": dict(compile_l4(config, status)),
        "nft": dict(compile_nft(config, status)),
        "addresses": dict(compile_vips(config, status)),
        "kernel": dict(compile_settings(config, status)),
        "routes": dict(compile_routes(config, status)),
        "quiet": dict(compile_quiet(config, status)),
    }


def _tokens(line: str) -> int:
    """How many words HAProxy sees in a line (configuration manual, 2.2)."""
    return len(re.findall(r"(?:[^\s\\\"'#]|\\.|\"(?:[^\"\\]|\\.)*\"|'[^']*')+", line))


def test_what_is_accepted_stays_one_token_of_whatever_is_made() -> None:
    judged_pairs = 0
    for harmless, hostile in _accepted():
        tame, wild = load(harmless).config, load(hostile).config
        if tame is None or wild is None:
            continue
        judged_pairs += 1
        expected, found = _made(tame), _made(wild)
        before, after = (str(each["haproxy"].get(CONFIG, "")) for each in (expected, found))
        assert [*map(_tokens, before.splitlines())] == [*map(_tokens, after.splitlines())], hostile
        for engine in expected:
            assert len(expected[engine]) == len(found[engine])
        for engine in expected.keys() - {"haproxy"}:
            assert MARK not in repr(found[engine])
    assert judged_pairs > 100


def test_the_real_binary_takes_what_is_accepted(tmp_path: File) -> None:
    files = files_in(tmp_path)
    for _, hostile in _accepted()[::12]:
        config = load(hostile).config
        found = {} if config is None else compile_l7(config, seen(config), files=files, layer4=True)
        if CONFIG in found:
            done = judged(found, files)
            assert done.returncode == 0, f"{hostile}\n{done.stdout}{done.stderr}"
