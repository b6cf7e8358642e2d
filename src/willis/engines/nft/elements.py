"""Artefacts and elements of nftables' maps and sets, both ways. Pure.

An element is a mark in one container (a map or a set of ours). A translation is a few
elements with one mark; what does not add up to a whole one is *stray* and goes away.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address

from willis.engines.nft.compile import Down, Timing, Translation
from willis.model.service import Address, Protocol

_LABEL = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,62}/[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")
_TIMING = re.compile(r"\A(?:tcp-([0-9]{1,7})-([0-9]{1,7})|udp-([0-9]{1,7}))\Z")
_PLACES = ("address4", "endpoint4", "address6", "endpoint6")


@dataclass(frozen=True, slots=True)
class Element:
    """What a container says of a mark, in nftables' words."""

    data: str = ""
    """A map's value; empty in a set."""
    label: str = ""
    """The comment, where there is one."""


@dataclass(frozen=True, slots=True)
class Stray:
    """Elements with a mark of which no artefact can be made."""

    mark: int

    @property
    def key(self) -> str:
        return f"stray/{self.mark:#010x}"


Place = tuple[str, int]
"""A container and a mark."""
Elements = dict[Place, Element]


def elements(artefact: Hashable) -> Elements:
    """The elements of a translation or of a server that is down; of anything else none."""
    if isinstance(artefact, Down):
        return {("down", mark): Element(label=artefact.label) for mark in artefact.marks}
    if not isinstance(artefact, Translation):
        return {}
    mark, family = artefact.mark, artefact.address.version
    found = {
        (f"address{family}", mark): Element(str(artefact.address), artefact.label),
        ("timing", mark): Element(f"jump {artefact.timing}"),
        ("replies", mark): Element(),
    }
    if artefact.port is not None:
        del found[f"address{family}", mark]
        found[f"endpoint{family}", mark] = Element(f"{artefact.address} . {artefact.port}", artefact.label)
    if artefact.source is not None:
        found[f"source{family}", mark] = Element(str(artefact.source))
    if artefact.masquerade:
        found["routed", mark] = Element()
    return found


def marks_of(artefact: Hashable) -> frozenset[int]:
    """The marks whose elements are replaced together with the artefact."""
    if isinstance(artefact, Down):
        return frozenset(artefact.marks)
    return frozenset({artefact.mark}) if isinstance(artefact, Translation | Stray) else frozenset()


def artefacts(held: Mapping[Place, Element]) -> dict[str, Hashable]:
    """What the elements are, by key."""
    found: dict[str, Hashable] = {}
    down: dict[str, list[int]] = {}
    by_mark: dict[int, dict[str, Element]] = {}
    for (container, mark), element in held.items():
        if container == "down" and _LABEL.match(element.label):
            down.setdefault(element.label, []).append(mark)
        else:
            by_mark.setdefault(mark, {})[container] = element
    for mark, parts in sorted(by_mark.items()):
        translation = _translation(mark, parts)
        if translation is None or translation.key in found:
            found[Stray(mark).key] = Stray(mark)
        else:
            found[translation.key] = translation
    for label, numbers in down.items():
        note = Down(label, tuple(sorted(numbers)))
        found[note.key] = note
    return found


def timing_named(name: str) -> Timing | None:
    """The timing of that name; None if it is none of ours."""
    match = _TIMING.match(name)
    if match is None:
        return None
    protocol = Protocol(name.partition("-")[0])
    return Timing(protocol, tuple(int(each) for each in match.groups() if each is not None))


def is_label(text: str) -> bool:
    """Whether the text may stand in a comment."""
    return _LABEL.match(text) is not None


def _translation(mark: int, parts: Mapping[str, Element]) -> Translation | None:
    """The translation whose elements are exactly these."""
    place = next((parts[name] for name in _PLACES if name in parts), Element())
    address, _, port = place.data.partition(" . ")
    if not (is_label(place.label) and address):
        return None
    server = _address(address)
    source = parts.get(f"source{server.version}")
    translation = Translation(
        mark=mark,
        label=place.label,
        address=server,
        port=int(port) if port else None,
        source=None if source is None else _address(source.data),
        masquerade="routed" in parts,
        timing=parts.get("timing", Element()).data.removeprefix("jump "),
    )
    whole = {(container, mark): element for container, element in parts.items()}
    return translation if elements(translation) == whole else None


@lru_cache(maxsize=65_536)
def _address(text: str) -> Address:
    """Every pass reads every address, and hardly one has changed since the last."""
    return ip_address(text)
