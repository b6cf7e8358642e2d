"""What changed between two status reports, so that a second's news is small. Pure.

A delta has the keys of the report that changed, and of each service and server that changed its
name with the keys that did. Applied to the old report it gives the new one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def delta(old: Row, new: Row) -> dict[str, Any] | None:
    """Empty: nothing changed. None: services or pools are others now, which only a whole report tells."""
    services = _rows(old["services"], new["services"], "name", _service)
    if services is None:
        return None
    return _changed(old, new, "services") | ({"services": services} if services else {})


def only(report: Row, services: frozenset[str]) -> dict[str, Any]:
    """A report or a delta without all other services."""
    kept = [row for row in report.get("services", ()) if row["name"] in services]
    return {**report, "services": kept} if "services" in report else dict(report)


def _service(old: Row, new: Row) -> dict[str, Any] | None:
    servers = _rows(old["servers"], new["servers"], "host", lambda a, b: _changed(a, b, ""))
    if servers is None:
        return None
    return _changed(old, new, "servers") | ({"servers": servers} if servers else {})


def _rows(old: Sequence[Row], new: Sequence[Row], key: str, compare: Any) -> list[dict[str, Any]] | None:  # noqa: ANN401
    if [row[key] for row in old] != [row[key] for row in new]:
        return None
    found = []
    for before, after in zip(old, new, strict=True):
        if before == after:
            continue
        changed = compare(before, after)
        if changed is None:
            return None
        found.append({key: after[key]} | changed)
    return found


def _changed(old: Row, new: Row, but: str) -> dict[str, Any]:
    return {key: value for key, value in new.items() if key != but and old.get(key) != value}
