"""The manual's page on the document is up to date, and the defaults that it states are true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from willis import config
from willis.config.document import DEFAULTS, INTERFACE, SERVICE, SITE, TIMEOUTS
from willis.config.document_check import CHECK
from willis.config.fields import Key, Kind, Many, Names, Record, Variant
from willis.config.make import attribute
from willis.config.reference import reference

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "document.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == reference(), "Make the page anew with the command that stands in it."


def records(kind: Kind) -> Iterator[Record]:
    match kind:
        case Record():
            yield kind
            yield from (found for key in kind.keys for found in records(key.kind))
        case Variant():
            yield from (found for record in kind.records.values() for found in records(record))
        case Names():
            yield from records(kind.value)
        case Many():
            yield from records(kind.item)


def literal(key: Key) -> str | None:
    """The default that the manual states as a literal."""
    found = re.fullmatch(r"`([^`]+)`", key.default)
    return found[1] if found and not found[1].startswith("defaults.") else None


def stated(record: Record) -> str:
    """The literal defaults of a record, written out."""
    return ", ".join(f"{key.name}: {literal(key)}" for key in record.keys if literal(key))


MADE = {id(record): record for record in records(SITE) if record.makes is not None}


@pytest.mark.parametrize("record", MADE.values(), ids=lambda record: record.title)
def test_the_stated_defaults_are_those_of_the_model(record: Record) -> None:
    assert record.makes is not None
    defaults = {field.name: field.default for field in fields(record.makes)}
    assert {attribute(record, key) for key in record.keys} == defaults.keys()
    for key in record.keys:
        text = literal(key)
        if text is not None:
            assert not isinstance(key.kind, Record | Variant | Names | Many)
            assert key.kind.read(text, plain=True) == defaults[attribute(record, key)], key.name


def test_writing_the_stated_defaults_out_changes_nothing() -> None:
    def document(interface: str, defaults: str, check: str, dr: str, timeouts: str) -> str:
        return f"""\
version: 1
site: s
interfaces: {{eth0: {{addresses: [10.60.0.2/24]{interface}}}}}
hosts: {{a: 10.60.0.11}}
defaults: {{{defaults}}}
services:
  A: {{vip: 10.60.0.101, ports: 1, forwarding: dr, check: {{{check}}}, pool: [a]{dr},
      timeouts: {{{timeouts}}}}}
"""

    silent = config.load(document("", "", "", "", ""))
    interface, defaults, check, service = map(stated, (INTERFACE, DEFAULTS, CHECK, SERVICE))
    written = config.load(document(f", {interface}", defaults, check, f", {service}", stated(TIMEOUTS)))
    assert silent.problems == written.problems == ()
    assert silent.config == written.config
    assert [len(stated(r).split(", ")) for r in (INTERFACE, DEFAULTS, CHECK, SERVICE, TIMEOUTS)] == [
        1,
        2,
        5,
        5,
        3,
    ]
