"""Tables of the twin for people. Rows of plain data in, Rich tables out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from willis.lab.traffic import Row

_STATE = {
    "running": "[green]● running[/]",
    "frozen": "[cyan]▲ frozen[/]",
    "killed": "[red]■ killed[/]",
    "unplugged": "[red]■ unplugged[/]",
}


def machines(status: dict[str, Any]) -> Table:
    """One line a machine."""
    kind = "light twin" if status["light"] else "twin"
    found = _table(f"{kind} {status['name']}", "machine", "kind", "address", "state", "pieces", "ledger")
    for row in status["machines"]:
        addresses = row["addresses"]
        more = f" +{len(addresses) - 1}" if len(addresses) > 1 else ""
        ledger = ", ".join(f"{service} {acts['count']}" for service, acts in row["ledger"].items())
        pieces = ", ".join(
            piece["name"] if piece["state"] == "running" else f"{piece['name']} [red]{piece['state']}[/]"
            for piece in row["pieces"]
        )
        address = f"{addresses[0]}{more}" if addresses else "-"
        state = _STATE[row["state"]]
        found.add_row(escape(row["name"]), row["kind"], address, state, pieces or "-", escape(ledger) or "-")
    return found


def traffic(rows: Sequence[Row]) -> Table:
    """One line for each port of a service, with what all clients sent there."""
    found = _table("", "service", "VIP", "mode", "sent", "served by", "client seen", "verdict")
    lines: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        lines.setdefault((row.service, row.port), []).append(row)
    for (service, port), mine in lines.items():
        reasons = dict.fromkeys(f"{row.client}: {row.reason}" for row in mine if not row.ok)
        verdict = "[green]● ok[/]" if not reasons else f"[red]■ failed[/] {escape('; '.join(reasons))}"
        found.add_row(
            escape(service),
            f"{mine[0].vip}:{port}",
            mine[0].mode,
            next((row.sent for row in mine if row.ok), mine[0].sent),
            escape(_together(", ".join(row.served_by) for row in mine)),
            escape(_together(", ".join(row.client_seen) for row in mine)),
            verdict,
        )
    return found


def _together(each: Iterable[str]) -> str:
    """What the clients met, in their order, a line a client; said once if all met the same."""
    return "\n".join(dict.fromkeys(text or "nobody" for text in each))


def _table(title: str, *columns: str) -> Table:
    found = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        found.add_column(column, overflow="fold")
    return found
