"""Sends real traffic through every service and judges it by the hosts' ledgers.

A service passes if everything sent stands in the ledgers of its servers after the act, and
if the servers saw whom they must: in DR the client itself, behind the proxy the client's
address in X-Forwarded-For.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from willis.lab import acts, evidence
from willis.lab.blueprint import CLIENTS
from willis.lab.evidence import Entry
from willis.lab.twin import Twin
from willis.model.service import Forwarding, SourcePersistence, VirtualService

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


def send(
    twin: Twin, clients: Sequence[str] = CLIENTS, progress: Callable[[Row], None] = lambda _: None
) -> list[Row]:
    """Send to every port of every service from each client, one after the other. Raises LabError."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="willis-traffic-") as scratch:
        for service in twin.config.services:
            for port in service.ports:
                for name in clients:
                    row = _try(twin, acts.Client(twin, name, Path(scratch)), service, port)
                    progress(row)
                    rows.append(row)
    return rows


def _try(twin: Twin, client: acts.Client, service: VirtualService, port: int) -> Row:
    since, reason = evidence.mark(twin), ""
    expected = acts.Expected("-", ())
    try:
        expected = acts.act_for(service)(client, service, port)
    except acts.ActFailed as failed:
        reason = str(failed)
    found = _settled(twin, service, since, expected)
    seen = tuple(dict.fromkeys(_seen(service, entry) for entry in found))
    served_by = tuple(dict.fromkeys(entry.host for entry in found))
    reason = reason or _fault(twin, client.machine, service, expected, found, seen)
    return Row(
        service=service.name,
        vip=str(service.vip),
        port=port,
        mode=_mode(twin, service),
        client=client.machine,
        sent=expected.sent,
        served_by=served_by,
        client_seen=seen,
        ok=not reason,
        reason=reason,
    )


def _settled(
    twin: Twin, service: VirtualService, since: evidence.Mark, expected: acts.Expected
) -> list[Entry]:
    """The new entries of the service, bare connections left out, once all that is expected is there."""
    deadline = time.monotonic() + _SETTLE_S
    while True:
        found = [
            entry
            for entry in evidence.read(twin, since)
            if service.name in entry.services and entry.what != "connect"
        ]
        if not _lacking(expected.whats, found) or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def _fault(
    twin: Twin,
    client: str,
    service: VirtualService,
    expected: acts.Expected,
    found: Sequence[Entry],
    seen: Sequence[str],
) -> str:
    """Why the evidence does not show what it must, or ''."""
    lacking = _lacking(expected.whats, found)
    if lacking:
        return "not in any ledger: " + ", ".join(f"{what} x{count}" for what, count in lacking.items())
    arrived = {entry.more.get(key, "") for entry in found for key in ("digest", "control")}
    if expected.details - arrived:
        return f"{len(expected.details - arrived)} of {len(expected.details)} arrived changed or not at all"
    broken = [entry for entry in found if not entry.ok]
    if broken:
        return f"{broken[0].host} noted a failure: {broken[0].what}"
    hosts = {entry.host for entry in found}
    if len(hosts) > 1 and (expected.one_server or isinstance(service.persistence, SourcePersistence)):
        return f"one client's traffic was split over {', '.join(sorted(hosts))}"
    own = {str(address) for address in _addresses(twin, client)}
    strangers = [address for address in seen if address not in own]
    hidden = service.forwarding is Forwarding.PROXY and not service.application.is_http
    if strangers and not twin.light and not hidden:
        return f"the server saw {strangers[0]} instead of the client"
    return ""


def _lacking(whats: Iterable[str], found: Sequence[Entry]) -> Counter[str]:
    return Counter(whats) - Counter(entry.what for entry in found)


def _seen(service: VirtualService, entry: Entry) -> str:
    """Whom the server took for its client: behind a proxy, what X-Forwarded-For says."""
    if service.forwarding is Forwarding.PROXY and service.application.is_http:
        return entry.more.get("forwarded", entry.client)
    return entry.client


def _addresses(twin: Twin, client: str) -> tuple[Any, ...]:
    machine = twin.blueprint.machine(client)
    return machine.addresses if machine is not None else ()


def _mode(twin: Twin, service: VirtualService) -> str:
    if service.forwarding is Forwarding.PROXY:
        return "L7 proxy"
    if twin.light:
        return "L4 by HAProxy (light twin)"
    return f"L4 {service.forwarding.upper()}"
