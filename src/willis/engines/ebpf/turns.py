"""Smooth weighted round robin: one whole round of turns, no member's bunched together.

The algorithm is nginx's (ngx_http_upstream_round_robin, 2012): every turn each
member gains its weight, the richest takes the turn and pays the total.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd


def one_round(weights: Mapping[str, int]) -> list[str]:
    """The shortest sequence in which each member's turns are exactly its weight's share.

    Ties go to the member that stands first. Weights are above 0.
    """
    if not weights:
        return []
    divisor = gcd(*weights.values())
    gain = {name: weight // divisor for name, weight in weights.items()}
    total = sum(gain.values())
    wealth = dict.fromkeys(gain, 0)
    turns = []
    for _ in range(total):
        for name, each in gain.items():
            wealth[name] += each
        richest = max(wealth, key=wealth.__getitem__)
        wealth[richest] -= total
        turns.append(richest)
    return turns
