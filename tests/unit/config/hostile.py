"""Every single value that a document may have, found in its description, and texts to do harm there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from willis.config.document import SITE
from willis.config.fields import Kind, Many, Names, Record, Variant
from willis.config.problem import Path
from willis.config.scalars import ScalarKind

MARK = "zqx"
"""Stands in every hostile text, so that it is found wherever it went."""

TEXTS = tuple(
    text.replace("X", MARK)
    for text in (
        "X\n",
        "X\r",
        "X\nbackend evil",
        "X\r\n  server evil 192.0.2.66:80",
        "X;flush ruleset",
        "X } ; add table ip evil {",
        "X evil on",
        "X\tevil",
        "X'evil",
        'X"evil',
        "X\\",
        "X\\\nevil",
        "X#evil",
        "#X",
        "X ",
        " X",
        "$(X)",
        "`X`",
        "${X}",
        "{{ X }}",
        "{% X %}",
        "%X",
        "%[env(X)]",
        "%n%sX",
        "%{X}",
        "%0aX",
        "X\x00evil",
        "X\x1b[2Jevil",
        "X\x85evil",
        "X\u2028evil",
        "X\u202eevil",
        "X\u200bevil",
        "X\ufeff",
        "\u0437qx X",  # a Cyrillic letter that looks like a Latin one
        "X\uff0eevil",
        "X\ud800",
        "../X",
        "/X/../../etc/passwd",
        "-X",
        "--X=evil",
        "X]]--[[",
        "X," + "evil",
        "X|evil",
        "X&evil",
        "X" * 21_846,
    )
)


Way = tuple[str | int | tuple[str, str, str], ...]
"""Steps into a document; a key of a variant's record stands with the variant's tag and word."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a single value."""

    path: Path
    kind: ScalarKind
    way: Way
    is_name: bool = False
    """It is a key, and no value."""

    def tree(self, value: str) -> Any:  # noqa: ANN401 - a document has no type
        """A document that has ``value`` there, and as little around it as that takes."""
        found: Any = {value: {}} if self.is_name else value
        for step in reversed(self.way):
            if isinstance(step, int):
                found = [found]
            elif isinstance(step, str):
                found = {step: found}
            else:
                key, tag, word = step
                found = {tag: word, key: found}
        return found


def slots(kind: Kind = SITE, path: Path = (), way: Way = ()) -> Iterator[Slot]:
    """All of them, by the description that the parser follows too."""
    match kind:
        case Record():
            for key in kind.keys:
                yield from slots(key.kind, (*path, key.name), (*way, key.name))
        case Variant():
            for word, record in kind.records.items():
                for key in record.keys:
                    yield from slots(key.kind, (*path, key.name), (*way, (key.name, kind.tag, word)))
        case Names():
            yield Slot(path, kind.name, way, is_name=True)
            yield from slots(kind.value, (*path, "some"), (*way, "some"))
        case Many():
            yield from slots(kind.item, (*path, 0), (*way, 0))
        case _:
            yield Slot(path, kind, way)


def leaves(said: Any, kind: Kind = SITE, path: Path = ()) -> Iterator[tuple[Path, ScalarKind]]:  # noqa: ANN401
    """The single values that a document has, with what they may be."""
    match kind:
        case Record() if isinstance(said, dict):
            for name, value in said.items():
                yield from leaves(value, kind.by_name[name].kind, (*path, name))
        case Record():
            yield from leaves(said, kind.by_name[str(kind.short)].kind, path)
        case Variant():
            record = kind.records[said[kind.tag]]
            for name in said.keys() - {kind.tag}:
                yield from leaves(said[name], record.by_name[name].kind, (*path, name))
        case Names():
            for name, value in said.items():
                yield from leaves(value, kind.value, (*path, name))
        case Many() if isinstance(said, list):
            for i, item in enumerate(said):
                yield from leaves(item, kind.item, (*path, i))
        case Many():
            yield from leaves(said, kind.item, path)
        case _:
            yield path, kind
