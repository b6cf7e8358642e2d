"""The kinds of compound values: records, names with values, lists.

With the scalar kinds they form the one description of the document (``document``) that
the parser, the JSON Schema and the manual all follow; so none of them can know a key
that the others do not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from willis.config.scalars import Name, ScalarKind


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a record."""

    name: str
    kind: Kind
    says: str
    """What it is for, as a sentence of the manual."""
    required: bool = False
    default: str = ""
    """What stands in for it, in the manual's words; nothing if it is required."""


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping with known keys. With ``short``, a bare value stands for that key alone."""

    title: str
    keys: tuple[Key, ...]
    short: str | None = None
    makes: type | None = None
    """The frozen class of the model whose fields the keys are (``make``)."""
    by_name: dict[str, Key] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {key.name: key for key in self.keys})


@dataclass(frozen=True, slots=True)
class Variant:
    """One of several records; the word under ``tag`` tells which."""

    title: str
    tag: str
    records: dict[str, Record]


@dataclass(frozen=True, slots=True)
class Names:
    """A mapping from names that people choose to values of one kind."""

    name: Name
    value: Kind
    most: int | None = None
    """The largest number of names; None: as many as the document holds."""


@dataclass(frozen=True, slots=True)
class Many:
    """A list of 1 to ``most`` items. With ``bare``, one item may stand without the list."""

    of: str
    """What an item is: ``port``."""
    item: Kind
    most: int
    bare: bool = False


Kind = ScalarKind | Record | Variant | Names | Many
