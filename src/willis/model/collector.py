"""Audit collectors: who gets every entry of the audit trail."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class AuditFormat(StrEnum):
    """What an entry is on the way: a JSON object, or an audit message of DICOM PS3.15 A.5 (IHE ATNA)."""

    JSON = "json"
    DICOM = "dicom"


@dataclass(frozen=True, slots=True)
class AuditCollector:
    """Takes syslog over TLS (RFC 5425)."""

    server: str
    port: int = 6514
    format: AuditFormat = AuditFormat.JSON
    authority: str | None = None
    """Who signed its certificate, by name in the store; None: the system's authorities."""
    certificate: str | None = None
    """What Willis shows it, by name in the store; None: nothing."""

    def __str__(self) -> str:
        """What is remembered of it lies under this name."""
        return f"{self.server}:{self.port} {self.format}"
