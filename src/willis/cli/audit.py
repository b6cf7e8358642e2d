"""``willis audit``: who did what, and whether the trail is whole."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Annotated

import typer
from rich.markup import escape

from willis.cli import show
from willis.cli.client import Client, Json
from willis.terminal import table

AsJson = Annotated[bool, typer.Option("--json", help="Print the answer for programs")]
Asking = Callable[[typer.Context], AbstractContextManager[Client]]


def commands(asking: Asking) -> typer.Typer:
    """The group of commands. ``asking`` gives a client for the engine and turns failures into sentences."""
    app = typer.Typer(no_args_is_help=True, help="Who did what, when and why; nothing can be taken out.")

    @app.command("list")
    def list_newest(
        ctx: typer.Context,
        last: Annotated[int, typer.Option(min=1, max=1000, help="How many of the newest")] = 20,
        as_json: AsJson = False,
    ) -> None:
        """Show the newest entries."""
        with asking(ctx) as engine:
            answer = engine.get(f"/audit?last={last}")
        if as_json:
            show.as_json(answer)
        else:
            _show(answer)

    @app.command()
    def verify(ctx: typer.Context, as_json: AsJson = False) -> None:
        """Check that no entry was changed, removed or put in. Exit code 1 if one was."""
        with asking(ctx) as engine:
            answer = engine.get("/audit/verify")
        if as_json:
            show.as_json(answer)
        elif answer["ok"]:
            show.out.print(f"[green]● whole:[/] {answer['entries']} entries, ending with {answer['chain']}")
        else:
            show.out.print(f"[red]■ broken at entry {answer['broken_at']}[/] of {answer['entries']}")
        raise typer.Exit(0 if answer["ok"] else 1)

    @app.command()
    def export(ctx: typer.Context) -> None:
        """Print all entries, a JSON object a line."""
        with asking(ctx) as engine:
            for line in engine.lines("/audit/export"):
                sys.stdout.write(json.dumps(line) + "\n")

    return app


def _show(answer: Json) -> None:
    grid = table("entry", "when", "who", "what", "about", "result", keep=("entry", "when"))
    for entry in answer["entries"]:
        other = entry["author"] not in ("", entry["who"])
        who = f"{entry['who']} for {entry['author']}" if other else entry["who"]
        reason = f" ({entry['reason']})" if entry["reason"] else ""
        grid.add_row(
            str(entry["number"]),
            show.when(entry["at"]),
            escape(who),
            escape(entry["action"]),
            escape(entry["about"] + reason),
            escape(entry["result"]),
        )
    show.out.print(grid)
