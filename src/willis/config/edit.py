"""Edits of a document by its entries: one service, one host, one section; nothing is lost by omission.

An entry is exchanged whole, by the words that the document itself has (``vip``, ``pool``).
The sections of services and hosts are changed an entry at a time only, so that no edit can
drop what it does not name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from willis.config.document import SITE
from willis.config.fields import Kind, Names
from willis.config.parse import parse
from willis.config.problem import Fault, Problem, Severity, shown, spell
from willis.config.read import MAX_DEPTH, Mapping, Node, as_problem, read
from willis.config.scalars import Unfit
from willis.config.splice import Data, Unsplit, respell, same, say

BY_NAME = ("services", "hosts")
"""Sections whose entries are edited one by one."""
SECTIONS = tuple(key.name for key in SITE.keys if key.name not in (*BY_NAME, "version", "site"))
"""Sections that are edited whole."""

_LONGEST = 100_000
"""Characters of one value."""
_BAD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class Unedited(Exception):
    """An edit was not made; ``problems`` say where and why."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(f"{p.path}: {p.what} {p.remedy}" for p in problems))
        self.problems = problems


class Missing(Exception):
    """There is no such entry to take out."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One entry as it shall be; ``value`` None: taken out."""

    path: tuple[str, ...]
    """``("services", "MWL")``, or ``("acme",)`` for a whole section."""
    value: Data


def entries(text: str) -> dict[str, Data]:
    """What a document says, as plain data. Raises Unedited if it cannot be read."""
    reading = read(text)
    if reading.faults or not isinstance(reading.root, Mapping):
        faults = reading.faults or (Fault((), "The document is no mapping.", "Write 'version: 1' first."),)
        raise Unedited(tuple(as_problem(fault, reading.root) for fault in faults))
    said: dict[str, Data] = say(text)
    return said


def entry(said: dict[str, Data], path: tuple[str, ...]) -> Data:
    """One entry of what a document says; None: it has none."""
    inner = said if len(path) == 1 else said.get(path[0])
    return inner.get(path[-1]) if isinstance(inner, dict) else None


def put(text: str, path: tuple[str, ...], value: Data) -> str:
    """``text`` with one entry put in or exchanged. Raises Unedited."""
    return edited(text, (Edit(path, value),))


def remove(text: str, path: tuple[str, ...]) -> str:
    """``text`` without one entry. Raises Missing, Unedited."""
    if entry(entries(text), path) is None:
        raise Missing(f"there is no {spell(path)} in this document")
    return edited(text, (Edit(path, None),))


def edited(text: str, edits: Iterable[Edit]) -> str:
    """``text`` with all these edits; each entry is good by itself. Raises Unedited."""
    edits = tuple(edits)
    for edit in edits:
        if edit.value is not None:
            _check(edit.path, edit.value)
    done = _with(text, edits)
    root = read(done).root
    faults: list[Fault] = []
    for edit in edits:
        node = _node(root, edit.path)
        if node is not None:
            parse(_kind(edit.path), node, edit.path, faults)
    wrong = [fault for fault in faults if fault.severity is Severity.ERROR]
    if wrong:
        raise Unedited(tuple(as_problem(fault, root) for fault in wrong))
    return done


def differences(old: str, new: str) -> tuple[Edit, ...]:
    """The edits that lead from one document to another. Raises Unedited.

    Layout and comments are no difference; another order of services or hosts is one of the section.
    """
    before, after = entries(old), entries(new)
    return tuple(_differences(before, after))


def _differences(before: dict[str, Data], after: dict[str, Data]) -> Iterator[Edit]:
    for key in {**before, **after}:
        old, new = before.get(key), after.get(key)
        if key in BY_NAME and isinstance(old, dict) and isinstance(new, dict):
            if [name for name in old if name in new] != [name for name in new if name in old]:
                yield Edit((key,), new)
            for name in {**old, **new}:
                if not same(old.get(name), new.get(name)):
                    yield Edit((key, name), new.get(name))
        elif not same(old, new):
            yield Edit((key,), new)


def _with(text: str, edits: tuple[Edit, ...]) -> str:
    """The text that says what it said, but for these entries. Raises Unedited."""
    wanted = dict(entries(text))
    for edit in edits:
        inner = wanted
        if len(edit.path) > 1:
            section = wanted.get(edit.path[0])
            inner = wanted[edit.path[0]] = dict(section) if isinstance(section, dict) else {}
        if edit.value is None:
            inner.pop(edit.path[-1], None)
        else:
            inner[edit.path[-1]] = edit.value
    try:
        return respell(text, wanted)
    except Unsplit as error:
        what = f"This document cannot be edited entry by entry: {error}."
        where = edits[0].path if len(edits) == 1 else ()
        fault = Fault(where, what, "Give every entry lines of its own, or apply a whole document.")
        raise Unedited(_refused(fault)) from error


def _kind(path: tuple[str, ...]) -> Kind:
    kind = SITE.by_name[path[0]].kind
    return kind.value if len(path) > 1 and isinstance(kind, Names) else kind


def _node(root: Node | None, path: tuple[str, ...]) -> Node | None:
    for step in path:
        if not isinstance(root, Mapping) or step not in root.entries:
            return None
        root = root.entries[step].value
    return root


def _check(path: tuple[str, ...], value: Data) -> None:
    """What must not even be written into a text. Raises Unedited."""
    kind = SITE.by_name[path[0]].kind
    if len(path) > 1 and isinstance(kind, Names):
        try:
            kind.name.read(path[1], plain=False)
        except Unfit as unfit:
            raise Unedited(_refused(Fault(path, unfit.what, unfit.remedy))) from None
    faults = tuple(_unwritable(path, value))
    if faults:
        raise Unedited(_refused(*faults))


def _unwritable(path: tuple[str | int, ...], value: Data) -> Iterator[Fault]:
    if len(path) > MAX_DEPTH:
        yield Fault(path[:4], f"This is nested more than {MAX_DEPTH} levels deep.", "Look at its brackets.")
    elif isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str) or len(key) > 100 or _BAD.search(key):
                yield Fault(
                    path, f"{shown(str(key))} is no key.", "Use the keys of the document's reference."
                )
            else:
                yield from _unwritable((*path, key), each)
    elif isinstance(value, list):
        for i, each in enumerate(value):
            yield from _unwritable((*path, i), each)
    elif value is None:
        yield Fault(path, "null is no value.", "Leave the key out, or give it a value.")
    elif isinstance(value, str):
        if len(value) > _LONGEST:
            yield Fault(path, f"These are {len(value):,} characters.", f"At most {_LONGEST:,} are taken.")
        elif bad := _BAD.search(value):
            what = f"The character U+{ord(bad.group()):04X} may not stand in a document."
            yield Fault(path, what, "Remove it.")
    elif not isinstance(value, int) or abs(value) > 10**11:
        yield Fault(path, f"{shown(str(value))} is no number of a document.", "Write a whole number.")


def _refused(*faults: Fault) -> tuple[Problem, ...]:
    """Of values that stand in no text, and so on no line."""
    return tuple(replace(as_problem(fault, None), line=0) for fault in faults)
