"""From what servers refuse to a verdict: who is out of resources now is busy. Pure.

A check asks for little and so finds a full archive healthy; its clients know better. A
busy server gets less and loses nothing: a full disk is its own to clear.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from willis.model.refusal import ASSOCIATION, Refusal
from willis.model.status import Health, Place, Verdict


def busy(
    before: Mapping[Place, Health],
    refused: Mapping[Place, Iterable[Refusal]],
    now: float,
    hold_s: float,
) -> dict[Place, Health]:
    """Who is busy at ``now`` (seconds since the epoch): whoever refused something within ``hold_s``.

    ``before``: what this said last; whoever stays busy keeps its ``since``.
    """
    found = {}
    for place, refusals in refused.items():
        told = sorted(refusals)
        if any(each.ago_s < hold_s for each in told):
            since = before[place].since if place in before else now
            found[place] = Health(Verdict.BUSY, sentence(told), since)
    return found


def sentence(refusals: Iterable[Refusal]) -> str:
    """What was refused in the last minute, as a reason."""
    parts = " and ".join(
        f"answered {r.count} {r.request} with {r.answer}"
        if r.request != ASSOCIATION
        else f"rejected {r.count} {ASSOCIATION}{'s' if r.count > 1 else ''} ({r.answer})"
        for r in refusals
    )
    return f"{parts} in the last minute"


def combined(checked: Health, refusing: Health | None) -> Health:
    """The verdict of the check, unless it says up and clients were refused: nothing hides a bad one."""
    return checked if refusing is None or checked.verdict is not Verdict.UP else refusing
