"""Reads what ``nft --json list table`` says of our table. Pure.

The schema is libnftables-json(5), version 1: a list of objects, each under its kind.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Any

from willis.engines.nft.elements import Element, Elements, artefacts, timing_named
from willis.engines.nft.rules import BASE, CHAINS, MAPS, SETS, Base, stamps
from willis.engines.port import EngineError

_Json = Any  # what json.loads gives


@dataclass(frozen=True, slots=True)
class Listing:
    """Our table as it stands."""

    artefacts: Mapping[str, Hashable] = field(default_factory=dict)
    elements: Elements = field(default_factory=dict)
    made_of_elements: Mapping[str, Hashable] = field(default_factory=dict)
    replies: Mapping[int, int] = field(default_factory=dict)
    """Bytes that went back to clients, by mark."""


def parse(text: str, before: Listing | None = None) -> Listing:
    """Raises EngineError where nft speaks another language than we know.

    ``before``: an earlier listing; where no element differs, its artefacts stand.
    """
    try:
        objects = [next(iter(entry.items())) for entry in json.loads(text)["nftables"]]
        return _read(objects, before or Listing())
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise EngineError(
            f"what nft lists cannot be read ({type(error).__name__}: {error}); "
            f"nftables 1.0.6 or newer with JSON support is needed"
        ) from error


def _read(objects: list[tuple[str, _Json]], before: Listing) -> Listing:
    elements: Elements = {}
    replies: dict[int, int] = {}
    chains: dict[str, _Json] = {}
    rules: list[tuple[str, str]] = []
    for kind, content in objects:
        if kind in ("map", "set") and content["name"] in MAPS | SETS:
            for entry in content.get("elem", ()):
                mark, element, size = _element(entry)
                elements[content["name"], mark] = element
                if content["name"] == "replies":
                    replies[mark] = size
        elif kind == "chain":
            chains[content["name"]] = content
        elif kind == "rule":
            rules.append((content["chain"], content.get("comment", "")))
    made = before.made_of_elements if elements == before.elements else artefacts(elements)
    base = _base(chains, rules)
    return Listing({**made, **_timings(chains, rules), base.key: base}, elements, made, replies)


def _element(entry: _Json) -> tuple[int, Element, int]:
    """Mark, element and counted bytes; ``entry`` is a key or a pair of key and value."""
    key, value = entry if isinstance(entry, list) else (entry, "")
    details = key["elem"] if isinstance(key, dict) else {"val": key}
    size = details.get("counter", {}).get("bytes", 0)
    return int(details["val"]), Element(_data(value), details.get("comment", "")), size


def _data(value: _Json) -> str:
    if isinstance(value, dict):
        if "concat" in value:
            return " . ".join(_data(each) for each in value["concat"])
        verdict, target = next(iter(value.items()))
        return f"{verdict} {target['target']}" if isinstance(target, dict) else str(verdict)
    text = str(value)
    return str(IPv6Address(text)) if ":" in text else text  # one spelling of many


def _base(chains: Mapping[str, _Json], rules: list[tuple[str, str]]) -> Base:
    """Whole only if every rule is there, in order, and no other between them."""
    order = list(CHAINS)
    ours = sorted((rule for rule in rules if rule[0] in CHAINS), key=lambda rule: order.index(rule[0]))
    open_ = all(chains.get(name, {}).get("policy") == "accept" for name in CHAINS)
    return BASE if open_ and ours == stamps() else Base("")


def _timings(chains: Mapping[str, _Json], rules: list[tuple[str, str]]) -> dict[str, Hashable]:
    """A timing's chain holds one rule, whose comment is its name. Any other is told by a word, and mended."""
    found: dict[str, Hashable] = {}
    for name in chains:
        timing = timing_named(name)
        whole = [comment for chain, comment in rules if chain == name] == [name]
        if timing is not None:
            found[timing.key] = timing if whole else "damaged"
    return found
