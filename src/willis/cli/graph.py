"""``willis graph``: what was measured of a service or a server over time, drawn with characters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlencode

import typer

from willis.cli import show
from willis.cli.client import Client, Json, route
from willis.config.scalars import Duration, Unfit

Asking = Callable[[typer.Context], AbstractContextManager[Client]]

_BLOCKS, _ASCII = "▁▂▃▄▅▆▇█", ".:-=+*%#"
_SMALL, _TALL = 1, 8
"""Lines of one graph among others, and of one that is asked for alone."""
_WIDEST, _BESIDE = 120, 76
"""Columns of a graph at most, and what stands beside a small one."""


class Metric(StrEnum):
    """What a graph may be of."""

    CONNECTIONS = "connections"
    ACTIVE = "active"
    BYTES_IN = "bytes_in"
    BYTES_OUT = "bytes_out"
    REQUESTS = "requests"
    ERRORS = "errors"
    CHECK_MS = "check_ms"
    SERVERS_OPEN = "servers_open"


def add(app: typer.Typer, asking: Asking) -> None:
    """Add the command. ``asking`` gives a client for the engine and turns failures into sentences."""

    @app.command()
    def graph(
        ctx: typer.Context,
        service: Annotated[str, typer.Argument(help="A service, also one that is no longer there")],
        host: Annotated[str, typer.Option(help="Only this real server of it")] = "",
        since: Annotated[str, typer.Option(metavar="TIME", help="How far back (60s to 60d)")] = "1h",
        metric: Annotated[Metric | None, typer.Option(help="Only this one, and larger")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print the answer for programs")] = False,
    ) -> None:
        """Draw connections, bytes, requests, checks and open servers over time; a blank: not measured."""
        query = {"host": host, "span": _seconds(since), **({"metric": metric.value} if metric else {})}
        with asking(ctx) as engine:
            answer = engine.get(f"{route('/graphs/{}', service)}?{urlencode(query)}")
        if as_json:
            show.as_json(answer)
            return
        for line in lines(answer, metric, show.out.width, unicode=_unicode()):
            show.out.print(line, markup=False, soft_wrap=True)


def lines(answer: Json, metric: Metric | None, width: int, *, unicode: bool) -> Iterator[str]:
    """The answer for people, in a terminal of so many columns."""
    name = answer["service"] + (f"/{answer['host']}" if answer["host"] else "")
    points = max(len(columns["avg"]) for columns in answer["metrics"].values())
    end = answer["begin"] + points * answer["step_s"]
    yield f"{name} from {_time(answer['begin'])} to {_time(end)}"
    ramp = _BLOCKS if unicode else _ASCII
    wanted = [metric] if metric else list(Metric)
    shown = [m for m in wanted if any(value is not None for value in answer["metrics"][m]["avg"])]
    if not shown:
        yield "nothing was measured in that time"
    for each in shown:
        columns = answer["metrics"][each]
        if metric:
            yield _words(each, columns)
            yield from drawn(squeezed(columns["avg"], min(_WIDEST, width)), _TALL, ramp)
        else:
            row = drawn(squeezed(columns["avg"], max(10, min(_WIDEST, width - _BESIDE))), _SMALL, ramp)
            yield f"{each:12} {row[0]} {_words(each, columns)}"


def squeezed(values: Sequence[float | None], width: int) -> list[float | None]:
    """At most ``width`` values: the means of what is known of neighbours, None where nothing is."""
    count = min(width, len(values))
    found: list[float | None] = []
    for column in range(count):
        part = values[column * len(values) // count : (column + 1) * len(values) // count]
        known = [value for value in part if value is not None]
        found.append(sum(known) / len(known) if known else None)
    return found


def drawn(values: Sequence[float | None], height: int, ramp: str) -> list[str]:
    """``height`` lines from the top, from zero to the greatest value; what is not known is blank."""
    top = max((value for value in values if value is not None), default=0.0) or 1.0
    steps = len(ramp)
    filled = [None if v is None else max(1, round(v / top * height * steps)) for v in values]
    return ["".join(_cell(fill, line * steps, ramp) for fill in filled) for line in reversed(range(height))]


def _cell(fill: int | None, below: int, ramp: str) -> str:
    if fill is None or fill <= below:
        return " "
    return ramp[min(len(ramp), fill - below) - 1]


def _words(metric: Metric, columns: Json) -> str:
    """The figures beside a graph. The last is what was measured last."""
    known = [value for value in columns["avg"] if value is not None]
    figures = {
        "now": known[-1],
        "mean": sum(known) / len(known),
        "min": min(value for value in columns["min"] if value is not None),
        "max": max(value for value in columns["max"] if value is not None),
    }
    return f"{columns['unit']}: " + ", ".join(f"{name} {_figure(metric, v)}" for name, v in figures.items())


def _figure(metric: Metric, value: float) -> str:
    return show.size(value) if metric in (Metric.BYTES_IN, Metric.BYTES_OUT) else f"{value:.4g}"


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC).astimezone():%Y-%m-%d %H:%M:%S}"


def _unicode() -> bool:
    return show.out.encoding.lower().startswith("utf")


def _seconds(given: str) -> int:
    """Raises BadParameter."""
    try:
        return int(Duration("60s", "60d", whole=True).read(given, plain=True))
    except Unfit as error:
        raise typer.BadParameter(f"{error.what} {error.remedy}", param_hint="--since") from None
