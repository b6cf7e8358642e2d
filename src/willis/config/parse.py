"""Tree to values: follows the description of the document and reports everything that does not fit.

A record becomes a dict of its sound keys. A broken value is reported and becomes ``None``,
and parsing goes on, so that one look finds every problem.
"""

from __future__ import annotations

from collections.abc import Collection

from willis.config.fields import Key, Kind, Many, Names, Record, Variant
from willis.config.problem import Fault, Path, did_you_mean, shown, suggestion
from willis.config.read import Mapping, Node, Refused, Scalar, Sequence
from willis.config.scalars import Name, ScalarKind, Unfit, taken_for

_GUESSES = 100_000
"""Bounds faults times known words, as each guess is a look at every known word."""


def parse(kind: Kind, node: Node, path: Path, faults: list[Fault]) -> object:
    """The value of ``node`` as ``kind``, or None if it does not fit; every reason goes to ``faults``."""
    if isinstance(node, Refused):
        return None
    match kind:
        case Record():
            return _record(kind, node, path, faults)
        case Variant():
            return _variant(kind, node, path, faults)
        case Names():
            return _names(kind, node, path, faults)
        case Many():
            return _many(kind, node, path, faults)
        case _:
            return _scalar(kind, node, path, faults)


def guess(word: str, known: Collection[str], faults: list[Fault]) -> str | None:
    """The known word that is close to ``word``; none once a document has too many faults for guesses."""
    return suggestion(word, known) if len(faults) * len(known) < _GUESSES else None


def _scalar(kind: ScalarKind, node: Node, path: Path, faults: list[Fault]) -> object:
    if not isinstance(node, Scalar):
        faults.append(Fault(path, f"{_noun(node)} stands where one value belongs.", f"Write {kind.words()}."))
        return None
    if _is_nothing(node):
        faults.append(Fault(path, "The value is missing.", f"Write {kind.words()}."))
        return None
    try:
        return kind.read(node.text, node.plain)
    except Unfit as unfit:
        faults.append(Fault(path, unfit.what, unfit.remedy))
        return None


def _record(kind: Record, node: Node, path: Path, faults: list[Fault]) -> dict[str, object] | None:
    if kind.short is not None and isinstance(node, Scalar) and not _is_nothing(node):
        value = parse(kind.by_name[kind.short].kind, node, path, faults)
        return None if value is None else {kind.short: value}
    entries = _entries(node, path, faults, _example(kind))
    if entries is None:
        return None
    return _known_keys(kind, entries, path, faults)


def _known_keys(kind: Record, entries: dict[str, Node], path: Path, faults: list[Fault]) -> dict[str, object]:
    """The sound values among ``entries``; unknown and missing keys are reported."""
    found: dict[str, object] = {}
    meant: set[str | None] = set()
    for name, node in entries.items():
        key = kind.by_name.get(name)
        if key is None:
            close = guess(name, kind.by_name, faults)
            meant.add(close)
            what = f"{shown(name)} is not a key of this {kind.title.lower()}."
            remedy = f"{did_you_mean(close)}The keys here are {', '.join(kind.by_name)}."
            meant_path = ((*path, close),) if close else ()
            faults.append(Fault((*path, name), what, remedy, rests_on=meant_path))
            continue
        value = parse(key.kind, node, (*path, name), faults)
        if value is not None:
            found[name] = value
    for key in kind.keys:
        if key.required and key.name not in entries and key.name not in meant:
            faults.append(Fault((*path, key.name), f"{shown(key.name)} is missing. {key.says}", _add(key)))
    return found


def _variant(kind: Variant, node: Node, path: Path, faults: list[Fault]) -> dict[str, object] | None:
    words = " or ".join(kind.records)
    entries = _entries(node, path, faults, f"a record such as {{{kind.tag}: {next(iter(kind.records))}}}")
    if entries is None:
        return None
    tag = entries.pop(kind.tag, None)
    if tag is None:
        faults.append(Fault((*path, kind.tag), f"{shown(kind.tag)} is missing.", f"Add {kind.tag}: {words}."))
        return None
    word = tag.text if isinstance(tag, Scalar) else None
    if word not in kind.records:
        if not isinstance(tag, Refused):
            what = f"{shown(word) if word is not None else _noun(tag)} is no kind of {kind.title.lower()}."
            close = guess(word or "", kind.records, faults)
            faults.append(Fault((*path, kind.tag), what, f"{did_you_mean(close)}Write {words}."))
        return None
    return {kind.tag: word, **_known_keys(kind.records[word], entries, path, faults)}


def _names(kind: Names, node: Node, path: Path, faults: list[Fault]) -> dict[str, object] | None:
    of = kind.name.of
    entries = _entries(
        node, path, faults, f"each {of} by its name, or {{}} if there is none", names=kind.name
    )
    if entries is None:
        return None
    if kind.most is not None and len(entries) > kind.most:
        what = f"There are {len(entries)} entries here; Willis takes at most {kind.most}."
        faults.append(Fault(path, what, "Remove those that no service needs."))
    return {name: parse(kind.value, value, (*path, name), faults) for name, value in entries.items()}


def _many(kind: Many, node: Node, path: Path, faults: list[Fault]) -> list[object] | None:
    one = isinstance(node, Scalar) or (isinstance(node, Mapping) and isinstance(kind.item, Record))
    if kind.bare and one and not _is_nothing(node):
        value = parse(kind.item, node, path, faults)
        return None if value is None else [value]
    if not isinstance(node, Sequence):
        what = "The list is missing." if _is_nothing(node) else f"{_noun(node)} stands where a list belongs."
        faults.append(Fault(path, what, f"Write a list with at least one {kind.of}: [...]."))
        return None
    if not node.items:
        faults.append(Fault(path, "The list is empty.", f"Name at least one {kind.of}."))
        return None
    if len(node.items) > kind.most:
        what = f"There are {len(node.items)} items here; Willis takes at most {kind.most}."
        faults.append(Fault(path, what, f"Spread each further {kind.of} over another entry."))
        return None
    values = [parse(kind.item, item, (*path, i), faults) for i, item in enumerate(node.items)]
    if not isinstance(kind.item, Record | Variant):
        _refuse_repeats(kind, values, path, faults)
    return values


def _refuse_repeats(kind: Many, values: list[object], path: Path, faults: list[Fault]) -> None:
    seen: dict[object, int] = {}
    for i, value in enumerate(values):
        if value is not None and seen.setdefault(value, i) != i:
            what = f"The {kind.of} {value} is listed twice."
            faults.append(Fault((*path, i), what, "Remove one of the two."))


def _entries(
    node: Node, path: Path, faults: list[Fault], expected: str, names: Name | None = None
) -> dict[str, Node] | None:
    """The entries of a mapping by key; keys that are not fit to be ``names`` are reported and left out."""
    if not isinstance(node, Mapping):
        what = "The value is missing." if _is_nothing(node) else f"{_noun(node)} stands where keys belong."
        faults.append(Fault(path, what, f"Write {expected}."))
        return None
    entries: dict[str, Node] = {}
    for text, entry in node.entries.items():
        try:
            name = names.read(text, entry.key.plain) if names else text
        except Unfit as unfit:
            faults.append(Fault((*path, text), unfit.what, unfit.remedy))
        else:
            entries[name] = entry.value
    return entries


def _is_nothing(node: Node) -> bool:
    return isinstance(node, Scalar) and node.plain and taken_for(node.text) == "nothing at all"


def _noun(node: Node) -> str:
    if isinstance(node, Scalar):
        return f"The single value {shown(node.text)}"
    return "A list" if isinstance(node, Sequence) else "A mapping"


def _example(kind: Record) -> str:
    return f"a record with the keys {', '.join(kind.by_name)}"


def _add(key: Key) -> str:
    if isinstance(key.kind, Many):
        return f"Add {key.name}: a list with at least one {key.kind.of}."
    if isinstance(key.kind, Names):
        return f"Add {key.name}: each {key.kind.name.of} by its name, or {{}} if there is none."
    words = key.kind.words() if not isinstance(key.kind, (Record, Variant)) else "a record"
    return f"Add {key.name}: {words}."
