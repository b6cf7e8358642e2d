"""Parsed records to frozen values of the model, and back, by the description of the document.

A key ``per-client`` is the field ``per_client``, or ``per_client_s`` for seconds. What a
broken document left out is None here and drops out; it was reported where it stands.
"""

# ruff: noqa: ANN401 - a parsed tree has no type of its own

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from willis.config.fields import Key, Kind, Many, Record, Variant


def make(kind: Kind, value: Any) -> Any:
    """The model's value of a parsed one; None where a required part is missing."""
    match kind:
        case Record():
            return _instance(kind, value)
        case Variant():
            return _instance(kind.records[value[kind.tag]], value)
        case Many():
            made = (make(kind.item, item) for item in value if item is not None)
            return tuple(item for item in made if item is not None)
        case _:
            return value


def unmake(kind: Kind, value: Any) -> Any:
    """What ``make`` takes: a dict with the keys that are not at their default; lists; scalars as they are."""
    match kind:
        case Record():
            return _keys(kind, value)
        case Variant():
            word = next(word for word, record in kind.records.items() if record.makes is type(value))
            return {kind.tag: word, **_keys(kind.records[word], value)}
        case Many():
            return [unmake(kind.item, item) for item in value]
        case _:
            return value


def attribute(record: Record, key: Key) -> str:
    """The field of the model's class that holds the value of ``key``."""
    known = {field.name for field in fields(_class(record))}
    plain = key.name.replace("-", "_")
    return plain if plain in known else f"{plain}_s"


def _instance(record: Record, value: dict[str, Any] | None) -> Any:
    if value is None or any(key.required and value.get(key.name) is None for key in record.keys):
        return None
    made = {
        attribute(record, key): make(key.kind, value[key.name])
        for key in record.keys
        if value.get(key.name) is not None
    }
    return _class(record)(**{name: part for name, part in made.items() if part is not None})


def _keys(record: Record, value: Any) -> dict[str, Any]:
    defaults = {field.name: field.default for field in fields(value)}
    found = {}
    for key in record.keys:
        name = attribute(record, key)
        own = getattr(value, name)
        if defaults[name] is MISSING or own != defaults[name]:
            found[key.name] = unmake(key.kind, own)
    return found


def _class(record: Record) -> Any:
    if record.makes is None:
        raise TypeError(f"{record.title} has no class in the model")
    return record.makes
