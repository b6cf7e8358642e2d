"""The real binaries take what is made of any accepted value: rules of HTTP, and any name."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.builders import seen, sites, statuses
from tests.unit.engines.haproxy.test_haproxy_golden import files_in, judged
from willis.config import load
from willis.config.scalars import Text, Unfit
from willis.config.words import EXPRESSION, HEADER, HOST, METHOD, PATH, REPLACEMENT, TARGET, VALUE, WORD
from willis.engines.haproxy.compile import CONFIG, compile_l7
from willis.engines.nft.compile import compile_nft
from willis.engines.nft.script import script
from willis.engines.nftables import nft
from willis.model.service import NAME
from willis.plan.diff import diff

_TRAPS = (
    "-f", "-i", "-m", "-M", "--", "-", "if", "unless", "or", "and", "||", "!", "!x", "{", "}", "{ x }",
    "#", "# x", "%", "\\", "\\1", "a b", " a", "a ", " ", ";", "&", "~", "*", ".", "(", "[", "[::1]", '"',
    "`", "$x", "${HOME}", "%[env(HOME)]", "code", "/", "//", "/../..", "http://x", "https://[::1]:1/",
    "/?a#b", "A" * 200, "x" * 500,
)  # fmt: skip
"""What means something to HAProxy's parser where it stands alone."""


def _text(kind: Text) -> st.SearchStrategy[str]:
    drawn = st.from_regex(re.compile(kind.pattern, re.ASCII), fullmatch=True)
    return st.sampled_from([trap for trap in _TRAPS if _reads(kind, trap)] or [kind.example]) | drawn


def _reads(kind: Text, text: str) -> bool:
    try:
        kind.read(text, plain=False)
    except Unfit:
        return False
    return True


_FIELDS = st.lists(
    st.fixed_dictionaries({"name": _text(HEADER), "value": _text(WORD)}), min_size=1, max_size=2
)
_PATHS = st.lists(_text(PATH), min_size=1, max_size=2)
_WHEN = st.fixed_dictionaries(
    {},
    optional={
        "hosts": st.lists(_text(HOST), min_size=1, max_size=2),
        "paths": _PATHS,
        "path-begins": _PATHS,
        "path-ends": _PATHS,
        "path-matches": st.lists(_text(EXPRESSION), min_size=1, max_size=2),
        "queries": _FIELDS,
        "headers": _FIELDS,
        "methods": st.lists(_text(METHOD), min_size=1, max_size=2),
    },
)
_ONCE = _WHEN.map(lambda when: when or {"paths": ["/x"]})
"""Rules after one that always ends a request would be a warning."""
_ON = st.sampled_from(["request", "response"])


def _rule(do: str, **keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    optional = {} if "when" in keys else {"when": _WHEN}
    return st.fixed_dictionaries({"do": st.just(do), **keys}, optional=optional)


_RULE = st.one_of(
    _rule("set-header", name=_text(HEADER), value=_text(VALUE), on=_ON),
    _rule("add-header", name=_text(HEADER), value=_text(VALUE), on=_ON),
    _rule("replace-header", name=_text(HEADER), matches=_text(EXPRESSION), value=_text(REPLACEMENT), on=_ON),
    _rule("rewrite-path", matches=_text(EXPRESSION), to=_text(REPLACEMENT)),
    _rule("redirect", to=_text(TARGET), when=_ONCE),
    _rule("deny", when=_ONCE),
)


def _document(rules: list[dict[str, Any]]) -> str:
    service = {
        "vip": "10.60.0.110",
        "ports": 80,
        "application": "http",
        "forwarding": "proxy",
        "pool": ["s1"],
        "http": {"rules": rules},
    }
    network = {"interfaces": {"e0": {"addresses": ["10.60.0.2/24"]}}, "hosts": {"s1": "10.60.0.11"}}
    return json.dumps({"version": 1, "site": "x", **network, "services": {"Web": service}})


def _words(line: str) -> list[str]:
    """What HAProxy makes of a line whose quotes are strong ones (configuration manual, 2.2)."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ""
    return list(lexer)


def _values(rule: dict[str, Any]) -> list[str]:
    """Those that stand as they are written."""
    when = rule.get("when", {})
    lists = [when.get(key, []) for key in ("paths", "path-begins", "path-ends", "path-matches")]
    fields = [each["value"] for key in ("queries", "headers") for each in when.get(key, [])]
    own = [rule[key] for key in ("value", "matches", "to") if key in rule]
    return [*own, *(text for each in lists for text in each), *fields]


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(rules=st.lists(_RULE, min_size=12, max_size=12))
def test_every_rule_that_is_accepted_is_taken_by_haproxy_with_its_values_whole(
    rules: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    taken = [rule for rule in rules if load(_document([rule])).config is not None]
    config = load(_document(taken or [{"do": "deny"}])).config
    assert config is not None
    files = files_in(tmp_path_factory.mktemp("rules"))
    found = compile_l7(config, seen(config), files=files, layer4=True)
    done = judged(found, files)
    assert done.returncode == 0, f"{taken}\n{done.stdout}{done.stderr}"
    words = {word for line in str(found[CONFIG]).splitlines() for word in _words(line)}
    for rule in taken:
        for value in _values(rule):
            assert value in words, (value, rule)


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_every_translation_is_taken_by_nft(data: st.DataObject) -> None:
    """It only checks; nothing of this machine's rules changes."""
    drawn = data.draw(sites().filter(lambda config: config.services))
    count = len(drawn.services)
    names = data.draw(st.lists(st.from_regex(NAME), unique=True, min_size=count, max_size=count))
    services = zip(drawn.services, names, strict=True)
    config = replace(drawn, services=tuple(replace(service, name=name) for service, name in services))
    want = compile_nft(config, data.draw(statuses(config)))
    done = nft("--check", "--file", "-", text=script({}, diff("nft", {}, want)))
    if done is None or "Operation not permitted" in done.stderr:
        pytest.skip("nft(8) is not here, or only root may ask it")
    assert done.returncode == 0, done.stderr
