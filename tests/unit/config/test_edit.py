"""Edits of a document's text: what they change, what they leave alone, what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.builders import dr, site, sites
from willis.config import load, write
from willis.config.edit import Edit, Missing, Unedited, differences, edited, entries, put, remove
from willis.config.splice import Unsplit, respell, same, say

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))
TEXT = """\
# the site's own words
version: 1
site: test
interfaces: {eth0: {addresses: [10.60.0.2/24]}}   # one arm

hosts:
  vna1: 10.60.0.11     # room 1
  # in the cellar
  vna2: 10.60.0.12

services:
  # The archive.
  Archive:             # asks first
    vip: 10.60.0.101
    ports: 104         # as ever
    forwarding: dr
    pool: [vna1, vna2]

  # The worklist.
  Mwl:
    vip: 10.60.0.102
    ports: 105
    forwarding: dr
    pool: [vna1]
# the end
"""
NEW = {
    "vip": "10.60.0.103",
    "ports": 106,
    "forwarding": "dr",
    "pool": ["vna1", {"host": "vna2", "weight": 7}],
}


def config(text: str) -> Any:
    loaded = load(text)
    assert loaded.config is not None, loaded.problems
    return loaded.config


def test_only_the_key_that_differs_is_exchanged() -> None:
    archive = {**entries(TEXT)["services"]["Archive"], "ports": 11112}
    assert put(TEXT, ("services", "Archive"), archive) == TEXT.replace("104  ", "11112  ")


def test_an_entry_that_says_the_same_changes_nothing() -> None:
    for section in ("services", "hosts"):
        for name, entry in entries(TEXT)[section].items():
            assert put(TEXT, (section, name), entry) == TEXT


def test_a_new_service_stands_behind_the_others() -> None:
    done = put(TEXT, ("services", "Store"), NEW)
    new = """
  Store:
    vip: 10.60.0.103
    ports: 106
    forwarding: dr
    pool: [vna1, {host: vna2, weight: 7}]
"""
    assert done == TEXT.replace("# the end", new.lstrip("\n") and new + "# the end")
    assert config(done).service("Store").pool[1].weight == 7


def test_what_goes_takes_its_heading_along_and_nothing_else() -> None:
    start = TEXT.index("\n  # The worklist.")
    end = TEXT.index("# the end")
    assert remove(TEXT, ("services", "Mwl")) == TEXT[:start] + TEXT[end:]


def test_the_last_entry_leaves_an_empty_section() -> None:
    done = remove(remove(TEXT, ("services", "Archive")), ("services", "Mwl"))
    assert config(done).services == ()
    assert "services: {}" in done
    assert config(put(done, ("services", "Store"), NEW)).service("Store")


def test_a_host_and_a_section() -> None:
    done = put(TEXT, ("hosts", "vna1"), "10.60.0.99")
    assert done == TEXT.replace("10.60.0.11 ", "10.60.0.99 ")
    done = put(
        done,
        ("acme",),
        {"directory": "https://ca.example/d", "certificates": [{"name": "a", "domains": ["a.example"]}]},
    )
    assert config(done).acme.certificates[0].name == "a"
    assert config(remove(done, ("acme",))) == config(TEXT.replace("10.60.0.11 ", "10.60.0.99 "))


def test_between_braces() -> None:
    done = put(
        TEXT,
        ("interfaces",),
        {"eth0": {"addresses": ["10.60.0.2/24"]}, "eth1": {"addresses": ["10.61.0.2/24"]}},
    )
    assert "{eth0: {addresses: [10.60.0.2/24]}, eth1: {addresses: [10.61.0.2/24]}}   # one arm" in done


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples(example: Path) -> None:
    text = example.read_text()
    before = config(text)
    done = put(text, ("hosts", "zz-new"), "10.99.0.1")
    assert config(done).hosts[:-1] == before.hosts
    assert remove(done, ("hosts", "zz-new")) == text
    for service in before.services:
        less = config(remove(text, ("services", service.name)))
        assert less.services == tuple(s for s in before.services if s != service)


@settings(max_examples=40, deadline=None)
@given(sites(), st.integers(101, 106), st.booleans())
def test_put_then_remove_is_as_before(found: Any, vip: int, windows: bool) -> None:
    text = write(found)
    text = text.replace("\n", "\r\n") if windows else text
    assume(load(text).config is not None)
    before = config(text)
    entry = entries(write(site(dr("Extra", vip + 100))))["services"]["Extra"]
    done = put(text, ("services", "Extra"), entry)
    # What stands under 'defaults' counts for the new one too: of the others nothing may change.
    assert config(done).services[:-1] == before.services
    assert config(remove(done, ("services", "Extra"))) == before


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
SCALARS = st.booleans() | st.integers(-(10**11), 10**11) | WORDS
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(WORDS, TREES, min_size=1, max_size=4),
    st.dictionaries(WORDS, TREES, min_size=1, max_size=4),
)
def test_a_text_can_be_made_to_say_anything(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Whatever its words are, from any document to any other; or it is refused."""
    text = respell("first: 1\n", one)
    assert same(say(text), one)
    assert same(say(respell(text, other)), other)


@settings(max_examples=40, deadline=None)
@given(
    st.text(st.characters(exclude_characters=":"), max_size=60)
    | st.sampled_from(["no", "~", "1e3", "${x}", "'", '"'])
)
def test_no_word_escapes_its_place(word: str) -> None:
    try:
        done = put(TEXT, ("services", "Archive"), {**NEW, "pool": [word]})
    except Unedited as refused:
        assert all(p.path.startswith("services.Archive") for p in refused.problems)
    else:
        kept = entries(done)
        assert kept["services"].pop("Archive")["pool"] == [word]
        assert kept == {**entries(TEXT), "services": {"Mwl": entries(TEXT)["services"]["Mwl"]}}


@pytest.mark.parametrize(
    "name", ["", "a b", "x\n  y: 1", "a: b", "$(reboot)", "../x", "{{7*7}}", "ü", "a" * 64]
)
def test_a_hostile_name_is_refused(name: str) -> None:
    with pytest.raises(Unedited) as refused:
        put(TEXT, ("services", name), NEW)
    assert refused.value.problems[0].path.startswith("services")


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (None, "services.Archive.vip"),
        (1.5, "services.Archive.vip"),
        ("\0", "services.Archive.vip"),
        ("\ud800", "services.Archive.vip"),
        ("x" * 100_001, "services.Archive.vip"),
        ("10.60.0.300", "services.Archive.vip"),
        (["10.60.0.1"], "services.Archive.vip"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(value: Any, path: str) -> None:
    with pytest.raises(Unedited) as refused:
        put(TEXT, ("services", "Archive"), {**NEW, "vip": value})
    assert [p.path for p in refused.value.problems] == [path]


def test_what_is_not_there_cannot_go() -> None:
    with pytest.raises(Missing):
        remove(TEXT, ("services", "Nothing"))


@pytest.mark.parametrize("text", ["", "- a\n", "a: &b 1\n", "a: 1\na: 2\n", "a: [\n"])
def test_a_text_that_cannot_be_read_is_not_edited(text: str) -> None:
    with pytest.raises(Unedited):
        put(text, ("hosts", "x"), "10.0.0.1")


def test_an_odd_layout_is_refused_and_not_guessed_at() -> None:
    with pytest.raises((Unedited, Unsplit)):
        put("version: 1\n? hosts\n: {a: 10.0.0.1}\n", ("acme",), "x")


def test_differences_name_the_entries() -> None:
    new = put(remove(TEXT, ("services", "Mwl")), ("hosts", "vna1"), "10.60.0.99")
    assert [e.path for e in differences(TEXT, new)] == [("hosts", "vna1"), ("services", "Mwl")]
    assert differences(TEXT, TEXT.replace("# the end", "# finis")) == ()


def test_several_edits_are_made_at_once_and_each_bad_one_is_named() -> None:
    edits = [Edit(("services", "Mwl"), None), Edit(("services", "Store"), NEW), Edit(("hosts", "vna1"), None)]
    done = edited(TEXT, edits)
    assert set(entries(done)["services"]) == {"Archive", "Store"}
    assert "# the end" in done
    assert {e.path for e in differences(TEXT, done)} == {e.path for e in edits}
    bad = [Edit(("services", name), {**NEW, "vip": "1.2.3"}) for name in ("One", "Two")]
    with pytest.raises(Unedited) as refused:
        edited(TEXT, bad)
    assert [p.path for p in refused.value.problems] == ["services.One.vip", "services.Two.vip"]
