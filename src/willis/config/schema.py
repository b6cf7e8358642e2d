"""The JSON Schema of the site document (draft 2020-12), for editors.

It follows the same description as the parser. Rules across objects are beyond it: a
document that an editor finds right may still be refused by ``load``.
"""

from __future__ import annotations

from willis.config.document import SITE
from willis.config.fields import Key, Kind, Many, Names, Record, Variant
from willis.config.scalars import Schema


def schema() -> Schema:
    """The schema as plain data, ready for ``json.dumps``."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Willis site document",
        **_schema(SITE),
    }


def _schema(kind: Kind) -> Schema:
    match kind:
        case Record():
            record = _record(kind, kind.keys)
            if kind.short is None:
                return record
            return {"anyOf": [_schema(kind.by_name[kind.short].kind), record]}
        case Variant():
            return {"oneOf": [_variant(kind, word) for word in kind.records]}
        case Names():
            return _names(kind)
        case Many():
            return _many(kind)
        case _:
            return kind.schema()


def _record(kind: Record, keys: tuple[Key, ...]) -> Schema:
    return {
        "type": "object",
        "properties": {key.name: {**_schema(key.kind), "description": _describe(key)} for key in keys},
        "required": [key.name for key in keys if key.required],
        "additionalProperties": False,
    }


def _variant(kind: Variant, word: str) -> Schema:
    record = _record(kind.records[word], kind.records[word].keys)
    return {
        **record,
        "properties": {kind.tag: {"const": word}, **record["properties"]},
        "required": [kind.tag, *record["required"]],
    }


def _names(kind: Names) -> Schema:
    found = {
        "type": "object",
        "propertyNames": kind.name.schema(),
        "additionalProperties": _schema(kind.value),
    }
    return found if kind.most is None else {**found, "maxProperties": kind.most}


def _many(kind: Many) -> Schema:
    item = _schema(kind.item)
    several = {"type": "array", "items": item, "minItems": 1, "maxItems": kind.most, "uniqueItems": True}
    return {"anyOf": [item, several]} if kind.bare else several


def _describe(key: Key) -> str:
    return f"{key.says} Default: {key.default}." if key.default else key.says
