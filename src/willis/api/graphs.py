"""The route of graphs: what was measured of a service, or of one of its servers, over time."""

from __future__ import annotations

import time
from enum import IntEnum, StrEnum
from typing import Annotated, Any

from fastapi import FastAPI, Query

from willis.api.needs import needs
from willis.control.frames import METRICS
from willis.control.history import SPAN_S, Graph, History, steps_for
from willis.model.identity import Need

Json = dict[str, Any]

_UNITS = {
    "connections": "per second",
    "active": "connections",
    "bytes_in": "bytes per second",
    "bytes_out": "bytes per second",
    "requests": "per second",
    "errors": "per second",
    "check_ms": "milliseconds",
    "servers_open": "servers",
}


Metric = StrEnum("Metric", {name.upper(): name for name in METRICS})  # type: ignore[misc]
"""What a graph may be of."""


class Step(IntEnum):
    """Seconds a point."""

    SECOND = 1
    TEN = 10
    MINUTE = 60
    QUARTER = 900


OfHost = Annotated[str, Query(max_length=64, description="One real server instead of the whole service")]
Span = Annotated[int, Query(ge=60, le=SPAN_S, description="Seconds back from now")]
Wanted = Annotated[
    Step | None, Query(description="Seconds a point at least; without it, the finest steps kept for so long")
]
Only = Annotated[Metric | None, Query(description="One metric instead of all that are known")]


def routes(app: FastAPI, history: History) -> None:
    """Add it to ``app``."""

    @app.get("/api/v1/graphs/{service}", **needs(Need.READ))
    async def graph(
        service: str, host: OfHost = "", span: Span = 3600, step: Wanted = None, metric: Only = None
    ) -> Json:
        """Connections, bytes, requests, checks and open servers over time, as columns; null: not measured."""
        end = time.time()
        key = (service, host)
        found = await history.read(key, end - span, end, steps_for(span, step, of_host=bool(host)))
        return {"service": service, "host": host or None, **_columns(found, metric)}


def _columns(graph: Graph, only: Metric | None) -> Json:
    return {
        "step_s": graph.step_s,
        "begin": graph.begin,
        "metrics": {
            metric: {
                "unit": _UNITS[metric],
                "avg": [None if band is None else _known(band.avg[column]) for band in graph.points],
                "min": [None if band is None else _known(band.low[column]) for band in graph.points],
                "max": [None if band is None else _known(band.high[column]) for band in graph.points],
            }
            for column, metric in enumerate(METRICS)
            if only is None or metric == only
        },
    }


def _known(value: float) -> float | None:
    """JSON has no NaN, and nobody needs more digits."""
    return None if value != value else round(value, 3)
