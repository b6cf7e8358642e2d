"""The difference between what an engine has and what it should have; written once for all engines.

What an engine holds is a mapping *key → frozen value*. A key is a path such as
``service/MWL`` or ``file/haproxy.cfg``; its first part says what kind of artefact it is.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from enum import StrEnum

Artefacts = Mapping[str, Hashable]


class Action(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Change:
    """One artefact that differs. ``None`` stands for 'not there'."""

    engine: str
    key: str
    have: Hashable | None
    want: Hashable | None

    @property
    def action(self) -> Action:
        if self.have is None:
            return Action.CREATE
        return Action.DELETE if self.want is None else Action.UPDATE

    @property
    def kind(self) -> str:
        """The first part of the key."""
        return self.key.partition("/")[0]

    @property
    def reloads(self) -> bool:
        """Whether a process reads a file anew for this; everything else changes in what runs."""
        return self.kind == "file"


def diff(engine: str, have: Artefacts, want: Artefacts) -> tuple[Change, ...]:
    """The changes that turn ``have`` into ``want``, in the order of their keys."""
    keys = sorted(have.keys() | want.keys())
    return tuple(
        Change(engine, key, have.get(key), want.get(key)) for key in keys if have.get(key) != want.get(key)
    )
