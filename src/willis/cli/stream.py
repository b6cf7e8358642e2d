"""``willis stream``: the state as it changes, until Ctrl-C or until the engine stops."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Annotated

import typer
from rich.markup import escape

from willis.cli import show
from willis.cli.client import Client, Json

Asking = Callable[[typer.Context], AbstractContextManager[Client]]

_KEYS = ("state", "verdict", "admin", "standing", "reason")
"""What people want to hear of; counters change all the time."""


def add(app: typer.Typer, asking: Asking) -> None:
    """Add the command. ``asking`` gives a client for the engine and turns failures into sentences."""

    @app.command()
    def stream(
        ctx: typer.Context,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print an object a line: its kind and data")
        ] = False,
    ) -> None:
        """Show the status now, then what changes each second, and events."""
        with asking(ctx) as engine:
            try:
                for kind, data in told(engine.raw_lines("/stream")):
                    _print(kind, data, as_json)
            except KeyboardInterrupt:
                return


def told(lines: Iterable[str]) -> Iterator[tuple[str, Json]]:
    """Kind and data of each event of a stream (HTML standard, 9.2), as the engine writes it."""
    kind = ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            kind = value
        elif field == "data":
            yield kind, json.loads(value)


def _print(kind: str, data: Json, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps({"event": kind, "data": data}) + "\n")
        sys.stdout.flush()
    elif kind == "snapshot":
        show.show_status(data["status"])
    elif kind == "event":
        show.out.print(
            f"{show.when(data['since'])} {escape(data['about'])}: {escape(data['what'])}", soft_wrap=True
        )
    elif kind == "state":
        for line in _changes(data):
            show.out.print(f"{show.when(data['at'])} {escape(line)}", soft_wrap=True)


def _changes(data: Json) -> Iterator[str]:
    for service in data.get("services", ()):
        rows = [(service["name"], service)]
        rows += [(f"{service['name']}/{row['host']}", row) for row in service.get("servers", ())]
        for name, row in rows:
            if said := [f"{key} {row[key]}" for key in _KEYS if key in row]:
                yield f"{name}: {', '.join(said)}"
