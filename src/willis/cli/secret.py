"""``willis secret``: passwords and tokens that the document only names."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Annotated

import typer

from willis.cli import show
from willis.cli.client import Client, route
from willis.cli.typed import typed
from willis.terminal import table

AsJson = Annotated[bool, typer.Option("--json", help="Print the answer for programs")]
Name = Annotated[str, typer.Argument(help="The name, as the document has it")]
Asking = Callable[[typer.Context], AbstractContextManager[Client]]


def commands(asking: Asking) -> typer.Typer:
    """The group of commands. ``asking`` gives a client for the engine and turns failures into sentences."""
    app = typer.Typer(
        no_args_is_help=True, help="Passwords and tokens that the document names; they are never shown."
    )

    @app.command("list")
    def list_all(ctx: typer.Context, as_json: AsJson = False) -> None:
        """List the names, when each was stored, and what uses it."""
        with asking(ctx) as engine:
            answer = engine.get("/secrets")
        if as_json:
            show.as_json(answer)
            return
        grid = table("secret", "stored at", "used by", keep=("secret",))
        for row in answer["secrets"]:
            grid.add_row(row["name"], row["stored_at"], ", ".join(row["used_by"]) or "-")
        show.out.print(grid)
        for row in answer["missing"]:
            show.note(f"warning: {', '.join(row['used_by'])} names {row['name']}, which is not stored")

    @app.command("set")
    def put(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
        """Store or replace a secret; it is asked for, or is the first line of standard input."""
        value = typed("Secret", twice=True)
        with asking(ctx) as engine:
            answer = engine.put(route("/secrets/{}", name), {"value": value})
        if as_json:
            show.as_json(answer)
        else:
            show.out.print(f"secret {name} is stored")

    @app.command()
    def remove(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
        """Forget a secret; refused while the document names it."""
        with asking(ctx) as engine:
            answer = engine.delete(route("/secrets/{}", name))
        if as_json:
            show.as_json(answer)
        else:
            show.out.print(f"secret {name} is removed")

    return app
