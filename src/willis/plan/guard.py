"""Refuses plans that take away too much at once: a half-copied file must not empty a hospital."""

from __future__ import annotations

from dataclasses import dataclass

from willis.model.config import Config

_LARGE = 4
"""From so many services on, a change that removes more than half of them is refused."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Whether a plan may be applied without ``--force``, and the reason in a sentence."""

    ok: bool
    reason: str


def guard(old: Config, new: Config) -> Guard:
    """Judge the step from ``old`` to ``new``."""
    before = {s.name for s in old.services}
    removed = sorted(before - {s.name for s in new.services})
    if before and not new.services:
        return Guard(False, f"removes all {len(before)} services; use --force if that is meant")
    if len(before) >= _LARGE and len(removed) * 2 > len(before):
        names = ", ".join(removed[:5]) + (" …" if len(removed) > 5 else "")
        return Guard(
            False, f"removes {len(removed)} of {len(before)} services ({names}); use --force if that is meant"
        )
    return Guard(True, "removes no more services than is usual")
