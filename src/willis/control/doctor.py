"""Calls the doctor: one examination at a time, in a thread, of what runs now."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from willis.control.loop import Loop
from willis.doctor.examine import examine
from willis.doctor.finding import Finding


class Doctor:
    """Of one node. Used in the event loop's thread."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._one = asyncio.Lock()

    async def report(self) -> dict[str, object]:
        """``doctor --json``."""
        async with self._one:
            found = await asyncio.to_thread(examine, self._loop.config, self._loop.status)
        return {
            "findings": [_row(finding) for finding in found.findings],
            "looked_at": list(found.looked_at),
            "passed_over": list(found.passed_over),
            "took_ms": found.took_ms,
        }


def _row(finding: Finding) -> dict[str, object]:
    return asdict(finding) | {
        "severity": finding.severity.value,
        "fix": {system: list(lines) for system, lines in asdict(finding.fix).items()},
    }
