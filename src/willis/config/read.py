"""Text to tree: YAML without its surprises.

The tree keeps every scalar as it was written, with its line and whether it stood in
quotes; what it means is decided later, by the place where it stands. So no YAML type
rule (``no`` is false, ``22:22`` is 1342) is ever applied. Whatever makes a document mean
something else than it seems to is refused: anchors and aliases, tags, several documents,
keys written twice. Length and depth are bounded, so no text can exhaust the daemon.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from willis.config.problem import Fault, Path, Problem, point, shown, spell

MAX_LENGTH = 4 * 1024 * 1024
"""Characters in a document. A site with 5,500 real servers needs about a tenth of it."""
MAX_DEPTH = 12
"""Levels of nesting. The document's own structure needs six."""

_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What YAML 1.2 (section 5.1) does not allow; lone surrogates are what is left of bad UTF-8."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value as written."""

    line: int
    text: str
    plain: bool
    """Written without quotes."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    line: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A key with its value."""

    key: Scalar
    value: Node


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys with values, each key once, in the order written."""

    line: int
    entries: dict[str, Entry]


@dataclass(frozen=True, slots=True)
class Refused:
    """Stands where something was that has already been reported, such as an alias."""

    line: int


Node = Scalar | Sequence | Mapping | Refused


@dataclass(frozen=True, slots=True)
class Reading:
    """A tree, as far as there is one, and what was wrong on the way."""

    root: Node | None
    faults: tuple[Fault, ...]


def read(text: str) -> Reading:
    """The tree of a YAML text. ``root`` is None if the text cannot be read to its end."""
    fault = _unreadable(text)
    if fault is not None:
        return Reading(None, (fault,))
    reader = _Reader(yaml.parse(text, Loader=_LOADER))
    try:
        return Reading(reader.document(), tuple(reader.faults))
    except _TooDeep as error:
        return Reading(None, (*reader.faults, error.fault))
    except yaml.YAMLError as error:
        return Reading(None, (*reader.faults, _syntax_fault(error)))


def locate(root: Node | None, path: Path) -> tuple[Path, int]:
    """Where ``path`` is in the tree, and its line.

    What is not there has the line of the nearest thing around it. A path that leads into
    a single value ends at that value: ``pool[0].host`` is ``pool[0]`` in ``pool: [vna1]``.
    """
    line, node = 1, root
    for depth, step in enumerate(path):
        if isinstance(node, Scalar):
            return path[:depth], line
        if isinstance(node, Mapping) and isinstance(step, str) and step in node.entries:
            line, node = node.entries[step].key.line, node.entries[step].value
        elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            line = node.line
        else:
            break
    return path, line


def as_problem(fault: Fault, root: Node | None) -> Problem:
    """A fault with its line in the tree."""
    path, line = locate(root, fault.path)
    return Problem(spell(path), fault.line or line, fault.severity, fault.what, fault.remedy, point(path))


class _TooDeep(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.what)
        self.fault = fault


@dataclass(slots=True)
class _Reader:
    """Builds the tree from YAML's events and notes what is refused."""

    events: Iterator[yaml.Event]
    faults: list[Fault] = field(default_factory=list)

    def document(self) -> Node | None:
        root: Node | None = None
        documents = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents == 2:
                    self._second_document(_line(event))
                    return root
            elif isinstance(event, yaml.NodeEvent):
                root = self._node(event, ())
        if root is None:
            self.faults.append(
                Fault((), "The document is empty.", "Start from one of the examples or a template.")
            )
        return root

    def _node(self, event: yaml.NodeEvent, path: Path) -> Node:
        line = _line(event)
        if isinstance(event, yaml.AliasEvent):
            self._refuse(line, path, f"*{event.anchor} is an alias", "Write the value out in full")
            return Refused(line)
        self._refuse_marks(event, path)
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(line, event.value, plain=not event.style)
        if len(path) == MAX_DEPTH:
            what = f"The document is nested more than {MAX_DEPTH} levels deep here."
            remedy = "Look for a bracket too many or a line indented too far."
            raise _TooDeep(Fault(path[:4], what, remedy, line=line))
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(line, path)
        return self._mapping(line, path)

    def _inside(self, end: type[yaml.Event]) -> Iterator[yaml.NodeEvent]:
        """The events of what stands in a list or mapping, up to its end."""
        for event in self.events:
            if isinstance(event, end):
                return
            if isinstance(event, yaml.NodeEvent):
                yield event

    def _sequence(self, line: int, path: Path) -> Sequence:
        items: list[Node] = []
        for event in self._inside(yaml.SequenceEndEvent):
            items.append(self._node(event, (*path, len(items))))
        return Sequence(line, tuple(items))

    def _mapping(self, line: int, path: Path) -> Mapping:
        entries: dict[str, Entry] = {}
        inside = self._inside(yaml.MappingEndEvent)
        for event in inside:
            key = self._node(event, (*path, "?"))
            step = key.text if isinstance(key, Scalar) else "?"
            value = self._node(next(inside), (*path, step))
            if not isinstance(key, Scalar):
                self._refuse(
                    key.line, path, "A key is a list, a mapping or an alias", "Write a word as the key"
                )
            elif step in entries:
                what = f"{shown(step)} is written twice; the first is on line {entries[step].key.line}."
                remedy = "Keep one of them, or give the second another name."
                self.faults.append(Fault((*path, step), what, remedy, line=key.line))
            else:
                entries[step] = Entry(key, value)
        return Mapping(line, entries)

    def _refuse_marks(self, event: yaml.NodeEvent, path: Path) -> None:
        line = _line(event)
        if event.anchor is not None:
            self._refuse(line, path, f"&{event.anchor} is an anchor", "Remove it and write each value out")
        if isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)) and event.tag is not None:
            self._refuse(line, path, f"{shown(event.tag)} is a tag", "Remove it and write the value alone")

    def _refuse(self, line: int, path: Path, what: str, remedy: str) -> None:
        what = f"{what}, which a site document may not use: every value means what it seems to mean."
        self.faults.append(Fault(path, what, f"{remedy}.", line=line))

    def _second_document(self, line: int) -> None:
        what = "A second YAML document starts here; a site is described by one."
        self.faults.append(Fault((), what, "Remove the '---' line or what follows it.", line=line))


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _unreadable(text: str) -> Fault | None:
    """What keeps the text from being given to a YAML reader at all."""
    if len(text) > MAX_LENGTH:
        what = f"The document has {len(text):,} characters; at most {MAX_LENGTH:,} are read."
        return Fault((), what, "Check that the right file was given.")
    bad = _UNPRINTABLE.search(text)
    if bad is None:
        return None
    line = text.count("\n", 0, bad.start()) + 1
    what = f"The character U+{ord(bad.group()):04X} may not stand in a document."
    return Fault((), what, "Remove it and save the file as plain UTF-8 text.", line=line)


def _syntax_fault(error: yaml.YAMLError) -> Fault:
    """YAML's own complaint, with the usual causes as the remedy."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    said = getattr(error, "problem", None) or str(error)
    context = getattr(error, "context", None)
    what = f"This is not YAML: {f'{context}, ' if context else ''}{said}."
    remedy = (
        "Look at this line and the one before: indentation (blanks, never tabs), colons, brackets, quotes."
    )
    return Fault((), what, remedy, line=mark.line + 1 if mark else None)
