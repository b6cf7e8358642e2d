"""Refusals: what a real server could not take from its clients."""

from __future__ import annotations

from dataclasses import dataclass

ASSOCIATION = "association"
"""The request that a rejected association was."""


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """Answers of one kind that one server gave to clients within the last minute."""

    request: str
    """What was asked for: a DIMSE service such as ``C-STORE``, or ``ASSOCIATION``."""
    answer: str
    """What was said, such as ``A700 (out of resources)``."""
    count: int
    """1 or more."""
    ago_s: float
    """Since the last one."""
