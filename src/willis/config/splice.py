"""Changes a document's text so that it says something else, and leaves all else as it was written.

``respell`` compares what the text says with what it shall say and exchanges only the entries
that differ, by their places in the text; comments and layout of everything else stay. What
comes out is read again: a text that this room cannot change in that way is refused, not guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from willis.config.write import block, one_line, token

Data = Any
"""What JSON has too: dict, list, str, int, bool, None."""
Steps = tuple[str, ...]

_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_INTEGER = re.compile(r"\A-?(0|[1-9][0-9]{0,11})\Z")


class Unsplit(Exception):
    """The text is written in a way that entries of it cannot be exchanged."""


@dataclass(frozen=True, slots=True)
class _Splice:
    start: int
    end: int
    text: str


def say(text: str) -> Data:
    """What a text says that ``read`` finds no fault with: words and numbers as JSON has them."""
    return _data(yaml.compose(text, Loader=_LOADER))


def respell(text: str, wanted: dict[str, Data]) -> str:
    """The text that says ``wanted``, changed no more than that takes. Raises Unsplit."""
    text = text.removeprefix("\ufeff")
    root = yaml.compose(text, Loader=_LOADER)
    if not isinstance(root, yaml.MappingNode):
        raise Unsplit("the document is not a mapping")
    done = _joined(text, list(_Splicer(text).mapping(root, wanted, ())))
    try:
        said = say(done)
    except yaml.YAMLError as error:
        raise Unsplit(str(error)) from error
    if not same(said, wanted):
        raise Unsplit("its layout is unusual")
    return done


def same(one: Data, other: Data) -> bool:
    """Whether both say the same; ``true`` and 1 do not. The order of keys does not count."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


class _Splicer:
    """Finds what has to be exchanged in one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._break = "\r\n" if "\r\n" in text else "\n"

    def mapping(self, node: yaml.MappingNode, wanted: Mapping[str, Data], steps: Steps) -> Iterator[_Splice]:
        """``node`` has entries, and ``wanted`` too."""
        for key, value in node.value:
            name = key.value
            if name not in wanted or same(_data(value), wanted[name]):
                continue
            inner = wanted[name]
            if isinstance(value, yaml.MappingNode) and value.value and isinstance(inner, dict) and inner:
                yield from self.mapping(value, inner, (*steps, name))
            elif node.flow_style:
                yield _Splice(value.start_mark.index, self._end(value), one_line(tokens(inner)))
            else:
                yield self._exchanged(key, value, inner, (*steps, name))
        yield from (self._flow if node.flow_style else self._lines)(node, wanted, steps)

    def _exchanged(self, key: yaml.Node, value: yaml.Node, wanted: Data, steps: Steps) -> _Splice:
        lines = list(_written(steps, wanted))
        start, end = key.start_mark.index, self._end(value)
        if len(lines) > 1 or "\n" in self._text[start:end]:
            end = self._line_end(end)
        indent = self._break + " " * key.start_mark.column
        return _Splice(start, end, indent.join(lines))

    def _lines(self, node: yaml.MappingNode, wanted: Mapping[str, Data], steps: Steps) -> Iterator[_Splice]:
        """Entries that go, and those that come, where each has lines of its own."""
        for key, value in node.value:
            if key.value not in wanted:
                yield _Splice(self._above(key), self._line_end(self._end(value)), "")
        last_key, last_value = node.value[-1]
        end = self._line_end(self._end(last_value))
        indent = self._break + " " * last_key.start_mark.column
        apart = not steps or self._apart(node)
        for name in _new(node, wanted):
            lines = _written((*steps, name), wanted[name])
            yield _Splice(end, end, (self._break if apart else "") + indent + indent.join(lines))

    def _flow(self, node: yaml.MappingNode, wanted: Mapping[str, Data], steps: Steps) -> Iterator[_Splice]:
        """The same between braces. Of neighbours that go, each takes the comma towards one that stays."""
        spans = [(key.start_mark.index, self._end(value)) for key, value in node.value]
        stays = [key.value in wanted for key, _ in node.value]
        for i, (start, end) in enumerate(spans):
            if stays[i]:
                continue
            if any(stays[:i]):
                yield _Splice(spans[i - 1][1], end, "")
            else:
                yield _Splice(start, spans[i + 1][0] if i + 1 < len(spans) else end, "")
        end = spans[-1][1]
        entries = [f"{token(name)}: {one_line(tokens(wanted[name]))}" for name in _new(node, wanted)]
        if entries:
            yield _Splice(end, end, (", " if any(stays) else "") + ", ".join(entries))

    def _end(self, node: yaml.Node) -> int:
        """Where what is written of ``node`` ends; YAML's own mark may be lines further down."""
        while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            last = node.value[-1]
            node = last[1] if isinstance(last, tuple) else last
        end: int = node.end_mark.index
        if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
            end = len(self._text[:end].rstrip())
        return end

    def _line_end(self, at: int) -> int:
        found = self._text.find(self._break, at)
        return len(self._text) if found < 0 else found

    def _above(self, key: yaml.Node) -> int:
        """The end of the line above an entry; comments right above it are its own, and blank lines then."""
        start = self._text.rfind("\n", 0, key.start_mark.index) + 1
        lines = self._text[:start].splitlines(keepends=True)
        comment = " " * key.start_mark.column + "#"
        while lines and lines[-1].startswith(comment):
            lines.pop()
        while len(lines) > 1 and not lines[-1].strip():
            lines.pop()
        return max(0, sum(map(len, lines)) - len(self._break))

    def _apart(self, node: yaml.MappingNode) -> bool:
        """Whether a blank line stands between the last entries."""
        if len(node.value) < 2:
            return False
        between = self._text[self._end(node.value[-2][1]) : node.value[-1][0].start_mark.index]
        return any(not line.strip() for line in between.splitlines()[1:-1])


def _new(node: yaml.MappingNode, wanted: Mapping[str, Data]) -> list[str]:
    """Names that come, in the order in which they are wanted."""
    have = {key.value for key, _ in node.value}
    return [name for name in wanted if name not in have]


def tokens(value: Data) -> Data:
    """The same tree with each key and value as the document writes it."""
    if isinstance(value, dict):
        return {token(key): tokens(each) for key, each in value.items()}
    if isinstance(value, list):
        return [tokens(each) for each in value]
    return token(value) if isinstance(value, str) else str(value).lower()


def _written(steps: Steps, value: Data) -> Iterator[str]:
    """An entry in lines. Services stand a key a line, everything else on one line where that fits."""
    key = token(steps[-1])
    tall = steps[0] in ("services", "hosts") and len(steps) == 1 or steps[0] == "services" and len(steps) == 2
    if not (tall and isinstance(value, dict) and value):
        yield from block(key, tokens(value))
        return
    yield f"{key}:"
    for name, inner in value.items():
        yield from (f"  {line}" for line in _written((*steps, name), inner))


def _data(node: yaml.Node | None) -> Data:
    if isinstance(node, yaml.MappingNode):
        return {key.value: _data(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_data(item) for item in node.value]
    if not isinstance(node, yaml.ScalarNode):
        return None
    text: str = node.value
    if node.style:
        return text
    if text in ("true", "false"):
        return text == "true"
    if text in ("", "~", "null"):
        return None
    return int(text) if _INTEGER.match(text) else text


def _joined(text: str, splices: list[_Splice]) -> str:
    parts, at = [], 0
    for splice in sorted(splices, key=lambda each: each.start):
        parts += [text[at : splice.start], splice.text]
        at = max(at, splice.end)
    return "".join([*parts, text[at:]])
