"""``willis checks``: what is asked of which server, how often, and what came of it last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Annotated

import typer
from rich.markup import escape

from willis.cli import show
from willis.cli.client import Client, Json, route
from willis.terminal import table

AsJson = Annotated[bool, typer.Option("--json", help="Print the answer for programs")]
Asking = Callable[[typer.Context], AbstractContextManager[Client]]


def add(app: typer.Typer, asking: Asking) -> None:
    """Add the command. ``asking`` gives a client for the engine and turns failures into sentences."""

    @app.command()
    def checks(
        ctx: typer.Context,
        service: Annotated[str | None, typer.Argument(help="Only this one, with its servers")] = None,
        as_json: AsJson = False,
    ) -> None:
        """List what is asked of the servers, how often, what came of it, and how many log lines it makes."""
        with asking(ctx) as engine:
            answer = engine.get("/checks" if service is None else route("/checks/{}", service))
        if as_json:
            show.as_json(answer)
        elif service is None:
            _show_all(answer["checks"])
        else:
            _show_one(answer)


def _show_all(rows: list[Json]) -> None:
    grid = table("service", "asks", "every", "deep", "log lines/day", "servers", keep=("service",))
    for row in rows:
        verdicts = Counter(server["verdict"] for server in row["servers"])
        grid.add_row(
            escape(row["service"]),
            escape(row["asks"]),
            f"{row['interval_s']:g} s",
            "-" if row["deep"] is None else escape(row["deep"]["asks"]),
            f"{row['log_lines_a_day']:,}",
            ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common()),
        )
    show.out.print(grid)


def _show_one(row: Json) -> None:
    said = f"{row['asks']}, each {row['interval_s']:g} s, {row['timeout_s']:g} s of patience"
    if row["deep"] is not None:
        said += f"; after {row['deep']['every']} of those {row['deep']['asks']}"
    show.out.print(said, soft_wrap=True, markup=False)
    show.out.print(
        f"down after {row['fall']} failures, back after {row['rise']} good looks; a server logs about "
        f"{row['log_lines_a_day']:,} lines a day of it",
        soft_wrap=True,
    )
    grid = table("server", "address", "verdict", "last look", "took", "it said", keep=("server",))
    for server in row["servers"]:
        last = server["last"]
        place = server["address"] if server["port"] is None else f"{server['address']}:{server['port']}"
        looked = ("-", "-", "-") if last is None else _looked(last)
        grid.add_row(escape(server["host"]), place, server["verdict"], *looked)
    show.out.print(grid)


def _looked(last: Json) -> tuple[str, str, str]:
    return show.when(last["at"]), f"{last['took_ms']:g} ms", escape(last["decoded"])
