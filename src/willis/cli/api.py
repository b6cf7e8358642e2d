"""``willis api``: the contract of the API, for whoever writes programs against it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Annotated

import typer
from rich.markup import escape

from willis.cli import show
from willis.cli.client import Client, Json, route

AsJson = Annotated[bool, typer.Option("--json", help="Print the answer for programs")]
Asking = Callable[[typer.Context], AbstractContextManager[Client]]


def commands(asking: Asking) -> typer.Typer:
    """The group of commands. ``asking`` gives a client for the engine and turns failures into sentences."""
    app = typer.Typer(
        no_args_is_help=True, help="The contract of the API: routes, shapes, kinds of problems."
    )

    @app.command()
    def schema(ctx: typer.Context) -> None:
        """Print the contract as OpenAPI 3.1, for generators of clients."""
        with asking(ctx) as engine:
            show.as_json(engine.get("/openapi.json"))

    @app.command()
    def problems(
        ctx: typer.Context,
        kind: Annotated[str | None, typer.Argument(help="Only this one, such as stale")] = None,
        as_json: AsJson = False,
    ) -> None:
        """List the kinds of problems that an answer may have as its type, and what helps."""
        with asking(ctx) as engine:
            answer = engine.get("/problems") if kind is None else engine.get(route("/problems/{}", kind))
        if as_json:
            show.as_json(answer)
            return
        for row in answer.get("problems", [answer]):
            _show(row)

    return app


def _show(row: Json) -> None:
    show.out.print(
        f"[bold]{escape(row['type'])}[/] {row['status']} {escape(row['title'])}\n    {escape(row['meaning'])}"
    )
