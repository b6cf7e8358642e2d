"""People for whom somebody else vouches: an OpenID provider, or a directory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from willis.model.identity import Grant
from willis.model.sign_in import GroupGrant


class Unproved(Exception):
    """Nobody vouches for this person, or for somebody who may not come in; the text says why."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who has proved who they are, elsewhere."""

    name: str
    grants: tuple[Grant, ...]


def person(name: str, groups: Iterable[str], rules: Iterable[GroupGrant]) -> Person:
    """``name`` with what their groups may do. Raises Unproved where that is nothing."""
    found = frozenset(groups)
    grants = tuple(Grant(rule.role, rule.services) for rule in rules if rule.group in found)
    if not grants:
        raise Unproved(f"{name} has signed in, but none of their groups may come in here")
    return Person(name, grants)
