"""Tables of the twin for people. Rows of plain data in, Rich tables out."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

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


def _table(title: str, *columns: str) -> Table:
    found = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        found.add_column(column, overflow="fold")
    return found
