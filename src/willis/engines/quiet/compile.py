"""From Config to the one rule that keeps half-open looks half-open. Pure.

The kernel holds back the last ACK of such a look for 200 ms, and by then the look is over (``health.tcp``).
When the whole node stands still for longer, it would be sent, and the server's application would
see a client that says nothing. The rule drops it: whoever waits, no half-open look ever completes a
handshake. SYN and RST pass, so the look itself works with the rule and without it.
"""

from __future__ import annotations

from dataclasses import dataclass

from willis.model.config import Config
from willis.model.status import Status
from willis.plan.marks import HALF_OPEN

TABLE = "inet willis_checks"
"""Ours alone. It knows no connections, so it brings no conntrack to a node that has none."""
_CHAIN = "unsaid"
_RULE = f"meta mark {HALF_OPEN:#x} tcp flags & (fin | syn | rst) == 0x0 drop"
STAMP = f"willis {HALF_OPEN:#x} 1"
"""The comment of our rule; another number where its text changes."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """The table as a whole."""

    stamp: str
    """Empty where what is there is not whole."""

    @property
    def key(self) -> str:
        return "quiet/checks"


def compile_quiet(config: Config, status: Status) -> dict[str, Quiet]:
    """One artefact as soon as there is somebody to look at."""
    whole = Quiet(STAMP)
    return {whole.key: whole} if config.services else {}


def read(rules: list[tuple[str, str]]) -> Quiet:
    """The table by chain and comment of its rules."""
    return Quiet(STAMP if rules == [(_CHAIN, STAMP)] else "")


def making() -> str:
    """Makes the table, or mends what is there, in one transaction of nft."""
    lines = (
        *_gone(),
        f"add table {TABLE}",
        f"add chain {TABLE} {_CHAIN} {{ type filter hook output priority filter; policy accept; }}",
        f'add rule {TABLE} {_CHAIN} {_RULE} comment "{STAMP}"',
    )
    return "".join(f"{line}\n" for line in lines)


def removing() -> str:
    """Removes the table, there or not."""
    return "".join(f"{line}\n" for line in _gone())


def _gone() -> tuple[str, str]:
    return f"add table {TABLE}", f"delete table {TABLE}"
