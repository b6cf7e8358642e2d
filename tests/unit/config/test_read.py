"""Reading: the tree keeps what was written, and YAML's surprises are refused with their line."""

from __future__ import annotations

from importlib import import_module

import pytest
import yaml

from willis.config.read import MAX_DEPTH, MAX_LENGTH, Mapping, Scalar, Sequence, locate, read


@pytest.fixture(params=["SafeLoader", "CSafeLoader"], autouse=True)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both of PyYAML's loaders must give the same tree."""
    if request.param == "CSafeLoader" and not yaml.__with_libyaml__:
        pytest.skip("this PyYAML was built without libyaml")
    # By its full name: in the package, `read` is the function.
    monkeypatch.setattr(import_module("willis.config.read"), "_LOADER", getattr(yaml, request.param))


def refused(text: str) -> list[tuple[int, str]]:
    result = read(text)
    return [(fault.line or locate(result.root, fault.path)[1], fault.what) for fault in result.faults]


def test_scalars_stay_as_written() -> None:
    root = read("a: no\nb: '22:22'\nc: [0o17, \"1\"]\n").root
    assert isinstance(root, Mapping)
    assert root.entries["a"].value == Scalar(1, "no", plain=True)
    assert root.entries["b"].value == Scalar(2, "22:22", plain=False)
    assert root.entries["c"].value == Sequence(3, (Scalar(3, "0o17", True), Scalar(3, "1", False)))


def test_a_byte_order_mark_and_comments_are_fine() -> None:
    assert not read("\ufeff# site\n---\na: 1\n...\n").faults


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("a: 1\nb: &x 2\n", 2, "anchor"),
        ("a: 1\nb: *x\n", 2, "alias"),
        ("a: !!str 1\n", 1, "tag"),
        ("a: !python/object:os.system {}\n", 1, "tag"),
        ("a: &x {b: 1}\nc: {<<: *x}\n", 1, "anchor"),
        ("a: 1\n---\nb: 2\n", 2, "second YAML document"),
        ("a: 1\nb: 2\na: 3\n", 3, "first is on line 1"),
        ("? [a, b]\n: 1\n", 1, "key is a list"),
        ("", 1, "empty"),
        ("# only a comment\n", 1, "empty"),
        ("a: 1\nb: \x00\n", 2, "U+0000"),
        ("a: 1\nb: \udc80\n", 2, "U+DC80"),
        ("a: 1\n\tb: 2\n", 2, "not YAML"),
        ("a: [1, 2\nb: 3\n", 2, "not YAML"),
        ("a: 'open\n", 2, "not YAML"),
        ("a: " + "[" * 100_000, 1, f"more than {MAX_DEPTH} levels"),
        ("a: " + "{a: " * 1000, 1, f"more than {MAX_DEPTH} levels"),
        ("a" * (MAX_LENGTH + 1), 1, "at most"),
    ],
)
def test_is_refused(text: str, line: int, word: str) -> None:
    found = refused(text)
    assert any(at == line and word in what for at, what in found), found


def test_all_refusals_are_collected() -> None:
    assert [line for line, _ in refused("a: &x 1\nb: *x\nb: !t 2\nc: *x\n")] == [1, 2, 3, 3, 4]


def test_aliases_do_not_multiply() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)]
    assert len(refused("\n".join(lines))) == 40 + 2 * 39


def test_locate_finds_the_nearest_line() -> None:
    root = read("a:\n  b: [x,\n    y]\n").root
    assert locate(root, ("a", "b", 1)) == (("a", "b", 1), 3)
    assert locate(root, ("a", "b", 1, "host")) == (("a", "b", 1), 3)
    assert locate(root, ("a", "missing")) == (("a", "missing"), 1)
    assert locate(None, ("a",)) == (("a",), 1)
