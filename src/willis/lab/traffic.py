"""Sends real traffic through every service of a twin and has it judged by the hosts' ledgers."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from willis.lab import acts, evidence, judge
from willis.lab.blueprint import CLIENTS, NODE
from willis.lab.evidence import Entry
from willis.lab.judge import Expected
from willis.lab.twin import Twin
from willis.model.service import Forwarding, VirtualService

_SETTLE_S = 5.0
"""A ledger line is written before the answer, so this is only for answers that nobody waits for."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one client's traffic through one port of one service came to."""

    service: str
    vip: str
    port: int
    mode: str
    client: str
    sent: str
    served_by: tuple[str, ...]
    client_seen: tuple[str, ...]
    ok: bool
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def send(twin: Twin, clients: Sequence[str] = CLIENTS) -> list[Row]:
    """Send to every service from each client, one after the other. Raises LabError."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="willis-traffic-") as scratch:
        for service in twin.config.services:
            for port in probed(service):
                for name in clients:
                    rows.append(_try(twin, acts.Client(twin, name, Path(scratch)), service, port))
    return rows


def _try(twin: Twin, client: acts.Client, service: VirtualService, port: int) -> Row:
    since, reason = evidence.mark(twin), ""
    expected = Expected("-", ())
    try:
        expected = acts.act_for(service)(client, service, port)
    except acts.ActFailed as failed:
        reason = str(failed)
    found = _settled(twin, service, since, expected)
    parties = judge.Parties(_addresses(twin, client.machine), _addresses(twin, NODE))
    reason = reason or judge.fault(service, expected, found, None if twin.light else parties)
    return Row(
        service=service.name,
        vip=str(service.vip),
        port=port,
        mode=_mode(twin, service),
        client=client.machine,
        sent=expected.sent,
        served_by=tuple(dict.fromkeys(entry.host for entry in found)),
        client_seen=tuple(dict.fromkeys(judge.seen(service, entry) for entry in found)),
        ok=not reason,
        reason=reason,
    )


def _settled(twin: Twin, service: VirtualService, since: evidence.Mark, expected: Expected) -> list[Entry]:
    """The new entries of the service, bare connections left out, once all that is expected is there."""
    deadline = time.monotonic() + _SETTLE_S
    while True:
        found = [
            entry
            for entry in evidence.read(twin, since)
            if service.name in entry.services and entry.what != "connect"
        ]
        if not judge.lacking(expected, found) or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def probed(service: VirtualService) -> list[int]:
    """The ports that get traffic: of a range its two ends, which prove what lies between."""
    return sorted({port for run in service.port_runs for port in run})


def _addresses(twin: Twin, name: str) -> frozenset[str]:
    machine = twin.blueprint.machine(name)
    return frozenset(map(str, machine.addresses)) if machine is not None else frozenset()


def _mode(twin: Twin, service: VirtualService) -> str:
    if service.forwarding is Forwarding.PROXY:
        return "L7 proxy"
    if twin.light:
        return "L4 by HAProxy (light twin)"
    return f"L4 {service.forwarding.upper()}"
