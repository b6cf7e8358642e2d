"""What a change does to live sessions, service by service, before it is made."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from willis.model.config import Config
from willis.model.service import VirtualService


class Effect(StrEnum):
    """``none``; ``new-sessions``: only connections made later notice; ``drops``: live ones are cut."""

    NONE = "none"
    NEW_SESSIONS = "new-sessions"
    DROPS = "drops"


@dataclass(frozen=True, slots=True)
class Impact:
    service: str
    effect: Effect


def impact(old: Config, new: Config) -> tuple[Impact, ...]:
    """The effect on every service of ``old`` or ``new``, in the order of their names."""
    before = {s.name: s for s in old.services}
    after = {s.name: s for s in new.services}
    names = sorted(before.keys() | after.keys())
    return tuple(Impact(name, _effect(before.get(name), after.get(name))) for name in names)


def _effect(old: VirtualService | None, new: VirtualService | None) -> Effect:
    if old == new:
        return Effect.NONE
    if old is None:
        return Effect.NEW_SESSIONS
    if new is None or _entrance(old) != _entrance(new) or not set(old.ports) <= set(new.ports):
        return Effect.DROPS
    return Effect.NEW_SESSIONS


def _entrance(service: VirtualService) -> tuple[object, ...]:
    return service.vip, service.protocol, service.forwarding
