"""Calls the doctor: one examination at a time, in a thread, of what runs now.

It comes by itself every few minutes too: what it finds wrong is an event like any other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import asdict

from willis.control.loop import Loop
from willis.doctor.examine import examine
from willis.doctor.finding import Finding, Report
from willis.doctor.finding import Severity as FindingSeverity
from willis.doctor.seen import Learnt
from willis.engines.port import EngineError, Ties
from willis.model.event import Condition, Severity
from willis.model.persistence import SourcePersistence

log = logging.getLogger("willis.doctor")

_EVERY_S = 300.0


class Doctor:
    """Of one node. Used in the event loop's thread."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._one = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._errors: tuple[Finding, ...] = ()

    def start(self) -> None:
        """Come by from now on."""
        self._task = asyncio.get_running_loop().create_task(self._come_by())

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def errors(self) -> Iterator[Condition]:
        """What was wrong at the last examination."""
        for finding in self._errors:
            yield Condition(Severity.ERROR, finding.where, f"{finding.what}; see 'willis doctor'")

    async def report(self) -> dict[str, object]:
        """``doctor --json``."""
        found = await self._examined()
        return {
            "findings": [_row(finding) for finding in found.findings],
            "looked_at": list(found.looked_at),
            "passed_over": list(found.passed_over),
            "took_ms": found.took_ms,
        }

    async def _examined(self) -> Report:
        async with self._one:
            learnt = await self._learnt()
            found = await asyncio.to_thread(examine, self._loop.config, self._loop.status, learnt)
        self._errors = tuple(f for f in found.findings if f.severity is FindingSeverity.ERROR)
        return found

    async def _come_by(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                await self._examined()
            except (OSError, EngineError) as error:
                log.warning("the doctor could not look: %s", error)

    async def _learnt(self) -> Learnt:
        """The ties and connections of services that persist by address."""
        ties: dict[str, list[str]] = {}
        for keeper in self._loop.keepers:
            for service in self._loop.config.services:
                if isinstance(service.persistence, SourcePersistence) and isinstance(keeper.engine, Ties):
                    clients = await keeper.call(keeper.engine.clients, service.name)
                    ties.setdefault(service.name, []).extend(client.host for client in clients)
        active = {place: counted.active for place, counted in self._loop.traffic().items()}
        return Learnt(ties, active)


def _row(finding: Finding) -> dict[str, object]:
    return asdict(finding) | {
        "severity": finding.severity.value,
        "fix": {system: list(lines) for system, lines in asdict(finding.fix).items()},
    }
