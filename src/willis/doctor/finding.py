"""What the doctor says: findings, each with its evidence and what to type against it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """``error``: clients are harmed, or will be. ``warning``: they may be. ``note``: worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Fix:
    """Lines to type; a line that begins with ``#`` is for the reader. They may be repeated."""

    linux: tuple[str, ...] = ()
    """On the machine that is at fault, as root."""
    windows: tuple[str, ...] = ()
    """There too, in an elevated PowerShell."""
    willis: tuple[str, ...] = ()
    """On the node, or in the document."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault."""

    severity: Severity
    what: str
    where: str
    """The host, interface or service that is at fault."""
    evidence: str
    """What was seen, such as an address with the MAC that answered for it."""
    fix: Fix = Fix()


@dataclass(frozen=True, slots=True)
class Report:
    """One examination."""

    findings: tuple[Finding, ...]
    """The gravest first."""
    looked_at: tuple[str, ...]
    passed_over: tuple[str, ...]
    """What was not looked at, each with the reason."""
    took_ms: float
