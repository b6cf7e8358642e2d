"""Reads the ledgers: what reached which host, and from whom."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from willis.lab.twin import Twin


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a ledger."""

    host: str
    piece: str
    at: float
    """Seconds since the epoch."""
    services: tuple[str, ...]
    """More than one where the host cannot tell them apart: they share its real server."""
    client: str
    """The peer's address as the host saw it."""
    what: str
    """Such as ``connect``, ``C-STORE``, ``ORM^O01``, ``GET /studies``."""
    ok: bool
    more: dict[str, str] = field(default_factory=dict)
    """Such as ``digest`` and ``uid`` (DICOM), ``control`` (HL7), ``forwarded`` (HTTP)."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in all ledgers of a twin, to read on from."""

    offsets: dict[Path, int]


def mark(twin: Twin) -> Mark:
    """Where the ledgers end now."""
    return Mark({path: path.stat().st_size for _, path in _ledgers(twin)})


def read(twin: Twin, since: Mark | None = None) -> list[Entry]:
    """All entries, or those after ``since``, in order of time. A half-written last line waits."""
    offsets = since.offsets if since is not None else {}
    found = [entry for host, path in _ledgers(twin) for entry in _entries(host, path, offsets.get(path, 0))]
    return sorted(found, key=lambda entry: entry.at)


def summary(twin: Twin, host: str) -> dict[str, dict[str, Any]]:
    """Acts by service and client, without the bare connections: ``{SERVICE: {count, clients: {IP: n}}}``."""
    clients: dict[str, Counter[str]] = {}
    for name, path in _ledgers(twin):
        if name != host:
            continue
        for entry in _entries(name, path, 0):
            if entry.what != "connect":
                clients.setdefault("+".join(entry.services), Counter())[entry.client] += 1
    return {
        service: {"count": counted.total(), "clients": dict(counted)} for service, counted in clients.items()
    }


def _ledgers(twin: Twin) -> Iterator[tuple[str, Path]]:
    for machine in twin.blueprint.servers:
        for path in sorted((twin.directory / machine.name / "ledger").glob("*.jsonl")):
            yield machine.name, path


def _entries(host: str, path: Path, offset: int) -> Iterator[Entry]:
    with path.open("rb") as lines:
        lines.seek(offset)
        for line in lines:
            if line.endswith(b"\n"):
                yield _entry(host, path.stem, json.loads(line))


def _entry(host: str, piece: str, line: dict[str, Any]) -> Entry:
    return Entry(
        host=host,
        piece=piece,
        at=line.pop("at"),
        services=tuple(line.pop("service").split("+")),
        client=line.pop("client"),
        what=line.pop("what"),
        ok=line.pop("ok"),
        more=line,
    )
