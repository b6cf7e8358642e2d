"""Writes one nft transaction for a set of changes. Pure; the only place that prints for nft.

Every value passes the allow-list of its place, so none can add a word or a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from willis.engines.nft.compile import Timing
from willis.engines.nft.elements import Element, Elements, Place, elements, is_label, marks_of, timing_named
from willis.engines.nft.rules import MAPS, SETS, TABLE, Base, base_lines
from willis.engines.port import EngineError
from willis.model.service import Protocol
from willis.plan.diff import Change

_VALUE = re.compile(r"\A(?:[0-9a-f.:]{2,39}(?: \. [0-9]{1,5})?|jump (?:tcp|udp)(?:-[0-9]{1,7}){1,2})?\Z")
"""An address, perhaps with a port; or the chain of a timing."""


def script(held: Mapping[Place, Element], changes: Sequence[Change]) -> str:
    """The commands that turn what is held into what is wanted, and touch nothing else.

    Raises EngineError for a value that may not stand in a command.
    """
    base = [change.want for change in changes if change.kind == "base"]
    if None in base:
        return _lines([f"add table {TABLE}", f"delete table {TABLE}"])
    timings = [change for change in changes if change.kind == "timing"]
    old, new = _step(held, changes)
    return _lines(
        [
            *(line for want in base if isinstance(want, Base) for line in base_lines()),
            *(line for c in timings if isinstance(c.want, Timing) for line in _made(c.want)),
            *_delete(old),
            *_add(new),
            *(line for c in timings if c.want is None for line in _removed(c.key)),
        ]
    )


def _step(held: Mapping[Place, Element], changes: Sequence[Change]) -> tuple[Elements, Elements]:
    """What goes and what comes. An element that stays as it is does neither."""
    by_mark: dict[int, list[Place]] = {}
    for place in held:
        by_mark.setdefault(place[1], []).append(place)
    gone = {
        place: held[place]
        for change in changes
        for mark in marks_of(change.have)
        for place in by_mark.get(mark, ())
        if _belongs(place, change)
    }
    want = {place: element for change in changes for place, element in elements(change.want).items()}
    old = {place: element for place, element in gone.items() if want.get(place) != element}
    new = {place: element for place, element in want.items() if held.get(place) != element}
    clashing = {place: held[place] for place in new if place in held}
    return old | clashing, new


def _belongs(place: Place, change: Change) -> bool:
    """A note that a server is down and its translation share a mark and not their elements."""
    return change.kind == "stray" or (place[0] == "down") is (change.kind == "down")


def _made(timing: Timing) -> Iterator[str]:
    name, policy = _name(timing.name), _policy(timing)
    yield f"add ct timeout {TABLE} {name} {{ protocol {timing.protocol}; policy = {{ {policy} }}; }}"
    yield f"add chain {TABLE} {name}"
    yield f"flush chain {TABLE} {name}"
    yield f'add rule {TABLE} {name} ct timeout set "{name}" comment "{name}"'


def _policy(timing: Timing) -> str:
    """By the states of conntrack(8); those not named keep the kernel's times."""
    if timing.protocol is Protocol.UDP:
        return "unreplied : {0}, replied : {0}".format(*timing.seconds)
    return "established : {0}, fin_wait : {1}, close_wait : {1}".format(*timing.seconds)


def _removed(key: str) -> Iterator[str]:
    """Adds before it deletes: it does not matter how much of it is left."""
    timing = timing_named(key.partition("/")[2])
    if timing is not None:
        yield from _made(timing)
        yield f"flush chain {TABLE} {timing.name}"
        yield f"delete chain {TABLE} {timing.name}"
        yield f"delete ct timeout {TABLE} {timing.name}"


def _delete(old: Mapping[Place, Element]) -> Iterator[str]:
    for container in (*MAPS, *SETS):
        numbers = [f"{mark:#010x}" for name, mark in sorted(old) if name == container]
        if numbers:
            yield f"delete element {TABLE} {container} {{ {', '.join(numbers)} }}"


def _add(new: Mapping[Place, Element]) -> Iterator[str]:
    for container in (*MAPS, *SETS):
        entries = [_entry(mark, new[name, mark]) for name, mark in sorted(new) if name == container]
        if entries:
            yield f"add element {TABLE} {container} {{ {', '.join(entries)} }}"


def _entry(mark: int, element: Element) -> str:
    if element.label and not is_label(element.label):
        raise _refusal(element.label, "a service and a host")
    if not _VALUE.match(element.data):
        raise _refusal(element.data, "an address, a port or a timing")
    comment = f' comment "{element.label}"' if element.label else ""
    return f"{mark:#010x}{comment}" + (f" : {element.data}" if element.data else "")


def _name(text: str) -> str:
    if timing_named(text) is None:
        raise _refusal(text, "a timing's name")
    return text


def _refusal(text: str, what: str) -> EngineError:
    return EngineError(f"{text!r} cannot stand in nftables' rules as {what}; correct the document")


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
