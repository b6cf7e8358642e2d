"""``willis doctor``: what is wrong around the node, and what to type against it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Annotated

import typer
from rich.markup import escape

from willis.cli import show
from willis.cli.client import Client, Json

Asking = Callable[[typer.Context], AbstractContextManager[Client]]

_SEVERITY = {"error": "[red]■ error[/]", "warning": "[yellow]▲ warning[/]", "note": "[blue]○ note[/]"}
_SYSTEM = {"linux": "Linux", "windows": "Windows Server", "willis": "here"}


def add(app: typer.Typer, asking: Asking) -> None:
    """Add the command. ``asking`` gives a client for the engine and turns failures into sentences."""

    @app.command()
    def doctor(
        ctx: typer.Context,
        as_json: Annotated[bool, typer.Option("--json", help="Print the answer for programs")] = False,
    ) -> None:
        """Look for faults of the network and the settings, and say the remedy. Exit code 1 on an error."""
        with asking(ctx) as engine:
            answer = engine.get("/doctor")
        if as_json:
            show.as_json(answer)
        else:
            _show(answer)
        raise typer.Exit(1 if any(f["severity"] == "error" for f in answer["findings"]) else 0)


def _show(answer: Json) -> None:
    for finding in answer["findings"]:
        show.out.print(
            f"{_SEVERITY[finding['severity']]} [bold]{escape(finding['where'])}[/]: {escape(finding['what'])}"
        )
        show.out.print(f"    [dim]{escape(finding['evidence'])}[/]")
        for system, lines in finding["fix"].items():
            if lines:
                show.out.print(f"    → {_SYSTEM[system]}:")
                for line in lines:
                    show.out.print(f"        {line}", markup=False, soft_wrap=True)
    for line in answer["passed_over"]:
        show.note(f"not looked at: {line}")
    seconds = answer["took_ms"] / 1000
    if not answer["findings"]:
        show.out.print("[green]● nothing is wrong[/]")
    show.out.print(
        f"[dim]looked at: {escape('; '.join(answer['looked_at']) or 'nothing')} ({seconds:.1f} s)[/]"
    )
