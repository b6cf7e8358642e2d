"""Tables of the twin for people. Rows of plain data in, Rich tables out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from willis.lab.traffic import Row
from willis.terminal import table

_WIDE = 120

_STATE = {
    "running": "[green]● running[/]",
    "frozen": "[cyan]▲ frozen[/]",
    "killed": "[red]■ killed[/]",
    "unplugged": "[red]■ unplugged[/]",
}


def machines(status: dict[str, Any]) -> Table:
    """One line a machine."""
    kind = "light twin" if status["light"] else "twin"
    found = table(
        "machine",
        "kind",
        "address",
        "state",
        "pieces",
        "ledger",
        title=f"{kind} {status['name']}",
        keep=("machine", "kind", "address", "state"),
    )
    for row in status["machines"]:
        addresses = row["addresses"]
        more = f" +{len(addresses) - 1}" if len(addresses) > 1 else ""
        acts = sum(entry["count"] for entry in row["ledger"].values())
        ledger = f"{acts} acts, {len(row['ledger'])} services" if acts else "-"
        pieces = ", ".join(
            piece["name"] if piece["state"] == "running" else f"{piece['name']} [red]{piece['state']}[/]"
            for piece in row["pieces"]
        )
        address = f"{addresses[0]}{more}" if addresses else "-"
        state = _STATE[row["state"]]
        found.add_row(escape(row["name"]), row["kind"], address, state, pieces or "-", ledger)
    return found


def traffic(rows: Sequence[Row], width: int) -> Table:
    """One line for each port of a service, with what all clients sent there.

    A terminal narrower than ``_WIDE`` columns does without the clients' addresses.
    """
    wide = width >= _WIDE
    headings = ["service", "VIP", "mode", "sent", "served by", *(["client seen"] if wide else []), "verdict"]
    found = table(*headings, keep=("service", "VIP", "mode"))
    lines: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        lines.setdefault((row.service, row.port), []).append(row)
    for mine in lines.values():
        first = next((row for row in mine if row.ok), mine[0])
        seen = [_together(row.client_seen for row in mine)] if wide else []
        vip = f"[{first.vip}]" if ":" in first.vip else first.vip
        cells = [first.service, f"{vip}:{first.port}", first.mode, first.sent]
        cells += [_together(row.served_by for row in mine), *seen]
        found.add_row(*map(escape, cells), _verdict(mine))
    return found


def _verdict(rows: Sequence[Row]) -> str:
    reasons = dict.fromkeys(f"{row.client}: {row.reason}" for row in rows if not row.ok)
    return f"[red]■ failed[/] {escape('; '.join(reasons))}" if reasons else "[green]● ok[/]"


def _together(each: Iterable[Sequence[str]]) -> str:
    """What the clients met, in their order; said once if all met the same."""
    return ", ".join(dict.fromkeys(" + ".join(words) or "nobody" for words in each))
