"""Feedback: a real server says itself how much it can take."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FeedbackKind(StrEnum):
    """``agent``: a line of text a connection, such as ``75% up ready``. ``http``: a JSON object."""

    AGENT = "agent"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class Feedback:
    """Where servers are asked, and how often."""

    kind: FeedbackKind = FeedbackKind.AGENT
    port: int = 3333
    path: str = "/load"
    """HTTP only. The object has ``percent`` (of the weight, 0 to 100) and may have ``state``."""
    interval_s: float = 5.0
    """1 to 300."""
    least: int = 10
    """Percent of its weight that a server keeps whatever it says, 1 to 100."""
