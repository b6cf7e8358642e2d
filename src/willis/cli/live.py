"""``willis logs``, ``willis top`` and ``willis events``: what goes on now."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from willis.cli import show
from willis.cli.client import Client, Json, route
from willis.terminal import table

AsJson = Annotated[bool, typer.Option("--json", help="Print the answer for programs")]
Asking = Callable[[typer.Context], AbstractContextManager[Client]]

_REFRESH_S = 2.0


def add(app: typer.Typer, asking: Asking) -> None:
    """Add the commands. ``asking`` gives a client for the engine and turns failures into sentences."""
    _logs(app, asking)
    _events(app, asking)
    _load(app, asking)


def _logs(app: typer.Typer, asking: Asking) -> None:
    @app.command()
    def logs(
        ctx: typer.Context,
        service: Annotated[str, typer.Argument(help="A service that HAProxy carries")],
        follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with all that comes")] = False,
        last: Annotated[int, typer.Option(min=0, max=2000, help="How many of the newest lines")] = 20,
        as_json: Annotated[bool, typer.Option("--json", help="Print an object a line")] = False,
    ) -> None:
        """Show a service's requests, connections and associations, without queries and names."""
        with asking(ctx) as engine:
            if follow:
                _print(engine.lines(f"{route('/logs/{}/follow', service)}?last={last}"), as_json, _access)
            else:
                answer = engine.get(f"{route('/logs/{}', service)}?last={last}")
                _print(answer["lines"], as_json, _access)
                if not answer["lines"] and not as_json:
                    show.note("nothing yet; layer-4 services in the kernel write no lines, see 'willis top'")


def _events(app: typer.Typer, asking: Asking) -> None:
    @app.command()
    def events(
        ctx: typer.Context,
        follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with all that comes")] = False,
        still_open: Annotated[bool, typer.Option("--open", help="Only what still holds")] = False,
        last: Annotated[int, typer.Option(min=0, max=10_000, help="How many of the newest")] = 20,
        as_json: Annotated[bool, typer.Option("--json", help="Print an object a line")] = False,
    ) -> None:
        """Show what was or is out of the ordinary, since when, and until when."""
        with asking(ctx) as engine:
            if follow:
                _print(engine.lines(f"/events/follow?last={last}"), as_json, _event)
                return
            found = engine.get(f"/events?last={last}&open={str(still_open).lower()}")["events"]
            _print(reversed(found), as_json, _event)
            if not found and not as_json:
                show.note("nothing is out of the ordinary" if still_open else "no event yet")


def _load(app: typer.Typer, asking: Asking) -> None:
    @app.command()
    def metrics(ctx: typer.Context) -> None:
        """Print the state of everything as Prometheus reads it, for a textfile collector or a look."""
        with asking(ctx) as engine:
            sys.stdout.write(engine.text("/metrics"))

    @app.command()
    def top(ctx: typer.Context, as_json: AsJson = False) -> None:
        """Show each service's load now and the last minute; in a terminal until Ctrl-C."""
        with asking(ctx) as engine:
            if as_json:
                show.as_json(engine.get("/top"))
            elif show.out.is_terminal:
                _watch(lambda: _grid(engine.get("/top")))
            else:
                show.out.print(_grid(engine.get("/top")))


def _print(lines: Iterable[Json], as_json: bool, words: Callable[[Json], str]) -> None:
    try:
        for line in lines:
            if as_json:
                sys.stdout.write(json.dumps(line) + "\n")
                sys.stdout.flush()
            else:
                show.out.print(words(line), soft_wrap=True)
    except KeyboardInterrupt:
        return


def _watch(draw: Callable[[], Table]) -> None:
    try:
        with Live(draw(), console=show.out, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(_REFRESH_S)
                live.update(draw(), refresh=True)
    except KeyboardInterrupt:
        return


def _access(line: Json) -> str:
    """One line for people: when, who, what, where to, how long, how it ended."""
    at = datetime.fromtimestamp(line["at"], UTC).astimezone()
    shape = "[green]●[/]" if line["ok"] else "[red]■[/]"
    where = line.get("host", "no server")
    words = [f"{at:%H:%M:%S}.{at.microsecond // 1000:03}", shape, line["client"], _what(line), f"→ {where}"]
    if line["kind"] != "refused":
        bytes_in, bytes_out = show.size(line["bytes_in"]), show.size(line["bytes_out"])
        words.append(f"{line['duration_ms']} ms · in {bytes_in} · out {bytes_out}")
    words.append(f"· {line['ended']}")
    return " ".join([words[0], shape, *map(escape, words[2:])])


_SEVERITY = {"info": "[blue]○ info[/]", "warning": "[yellow]▲ warning[/]", "error": "[red]■ error[/]"}


def _event(event: Json) -> str:
    """One event for people: its number, how bad, since when, what, and until when."""
    ended = event["ended"]
    again = f" · came back {event['times'] - 1} times" if event["times"] > 1 else ""
    until = "" if ended is None else f" · [green]ended[/] {show.when(ended)}"
    what = f"{escape(event['about'])}: {escape(event['what'])}"
    return (
        f"{event['number']} {_SEVERITY[event['severity']]} {show.when(event['since'])} {what}{again}{until}"
    )


def _what(line: Json) -> str:
    if line["kind"] == "http":
        asked = f"{line.get('method', '?')} {line.get('path', '?')}"
        return f"{asked} {line.get('status', 'no answer')}"
    if line["kind"] == "dicom":
        bad = f", {line['answers_bad']} refused ({line.get('last_bad')})" if line["answers_bad"] else ""
        titles = f"{line.get('calling', '?')} to {line.get('called', '?')}"
        return f"association {titles}: {line['answers_ok']} answers{bad}"
    return "connection"


def _grid(answer: Json) -> Table:
    columns = ("service", "active", "new/s", "in/s", "out/s", "last minute", "failed", "p50", "p95", "p99")
    grid = table(*columns, keep=columns[:1])
    for row in answer["services"]:
        rate, minute = row["per_second"], row["minute"]
        grid.add_row(
            escape(row["name"]),
            str(row["active"]),
            f"{rate['connections']:.1f}",
            show.size(rate["bytes_in"]),
            "-" if rate["bytes_out"] is None else show.size(rate["bytes_out"]),
            *(["-"] * 5 if minute is None else _minute(minute)),
        )
    return grid


def _minute(minute: Json) -> list[str]:
    failed = f"[red]{minute['failed']}[/]" if minute["failed"] else "0"
    return [str(minute["count"]), failed, *(f"{minute[p]:g} ms" for p in ("p50_ms", "p95_ms", "p99_ms"))]
