"""The manual's page on the site document, made from the description that the parser follows.

``docs/reference/document.md`` is this page; a test keeps the two equal.
"""

from __future__ import annotations

from collections.abc import Iterator

from willis.config.document import SITE
from willis.config.fields import Key, Kind, Many, Names, Record, Variant
from willis.config.rules import statements

_INTRODUCTION = """\
# The site document

One YAML document describes a site. `willis validate FILE` lists everything that is wrong with
one, each with its path, line, reason and remedy; `willis schema` prints a JSON Schema for editors.
[`examples/`](../../examples) has documents to start from.

This page is made from the parser's own description of the document:
`python -c "from willis.config.reference import reference; print(reference(), end='')"`.

## How values are written

- Numbers are decimal digits without quotes: `1_000`, `010`, `0o17`, `1e3`, `1.0`, `22:22` are refused.
- Durations are a whole number with a unit: `500ms`, `5s`, `5m`, `12h`, `1d`.
- A name that YAML may take for something else (`no`, `on`, `123`, `2026-01-31`, `1e3`) must stand in quotes.
- An IPv6 address stands in quotes where it begins or ends with a colon: `"::1"`.
- Anchors, aliases, tags, a second document and keys written twice are refused.
"""

_RULES = """\
## Rules across objects
"""


def reference() -> str:
    """The page in Markdown."""
    first = {id(record): (path, record) for path, record in reversed([*_records(SITE, "")])}
    sections = [line for path, record in reversed(first.values()) for line in ("", *_section(path, record))]
    rules = [f"- {statement}" for statement in statements()]
    return "\n".join([_INTRODUCTION.rstrip(), *sections, "", _RULES, *rules]) + "\n"


def _records(kind: Kind, path: str) -> Iterator[tuple[str, Record]]:
    """Every record of the document with its path, outermost first; some stand in several places."""
    match kind:
        case Record():
            yield path, kind
            for key in kind.keys:
                yield from _records(key.kind, f"{path}.{key.name}".removeprefix("."))
        case Variant():
            for word, record in kind.records.items():
                yield from _records(record, f"{path}, {kind.tag}: {word}")
        case Names():
            yield from _records(kind.value, f"{path}.NAME")
        case Many():
            yield from _records(kind.item, f"{path}[]")


def _section(path: str, record: Record) -> Iterator[str]:
    yield f"## `{path}`" if path else "## The document"
    yield ""
    if record.short is not None:
        yield f"A bare value stands for a record with `{record.short}` alone."
        yield ""
    yield "| key | may be | default | meaning |"
    yield "|---|---|---|---|"
    yield from (_row(key) for key in record.keys)


def _row(key: Key) -> str:
    default = "**required**" if key.required else key.default
    return f"| `{key.name}` | {_words(key.kind)} | {default} | {key.says} |"


def _words(kind: Kind) -> str:
    match kind:
        case Record():
            return f"a record, or a value for `{kind.short}`" if kind.short else "a record"
        case Variant():
            return f"a record whose `{kind.tag}` is {' or '.join(f'`{word}`' for word in kind.records)}"
        case Names():
            most = f", at most {kind.most}" if kind.most else ""
            return f"records by name{most}; {kind.name.words()}"
        case Many():
            bare = f"{_words(kind.item)}; or " if kind.bare else ""
            return f"{bare}a list of 1 to {kind.most}: {_words(kind.item)}"
        case _:
            return kind.words()
