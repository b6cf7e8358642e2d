"""Calls the doctor: one examination at a time, in a thread, of what runs now."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from willis.control.loop import Loop
from willis.doctor.examine import examine
from willis.doctor.finding import Finding
from willis.doctor.seen import Learnt
from willis.engines.port import Ties
from willis.model.persistence import SourcePersistence


class Doctor:
    """Of one node. Used in the event loop's thread."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._one = asyncio.Lock()

    async def report(self) -> dict[str, object]:
        """``doctor --json``."""
        async with self._one:
            learnt = await self._learnt()
            found = await asyncio.to_thread(examine, self._loop.config, self._loop.status, learnt)
        return {
            "findings": [_row(finding) for finding in found.findings],
            "looked_at": list(found.looked_at),
            "passed_over": list(found.passed_over),
            "took_ms": found.took_ms,
        }

    async def _learnt(self) -> Learnt:
        """The ties and connections of services that persist by address."""
        ties: dict[str, list[str]] = {}
        active: dict[tuple[str, str], int] = {}
        for keeper in self._loop.keepers:
            for place, counted in keeper.traffic.items():
                active[place] = active.get(place, 0) + counted.active
            for service in self._loop.config.services:
                if isinstance(service.persistence, SourcePersistence) and isinstance(keeper.engine, Ties):
                    clients = await keeper.call(keeper.engine.clients, service.name)
                    ties.setdefault(service.name, []).extend(client.host for client in clients)
        return Learnt(ties, active)


def _row(finding: Finding) -> dict[str, object]:
    return asdict(finding) | {
        "severity": finding.severity.value,
        "fix": {system: list(lines) for system, lines in asdict(finding.fix).items()},
    }
