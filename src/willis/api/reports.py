"""The routes that tell how the site is: status, explain, checks asked by hand, clients' ties, metrics."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, Response
from pydantic import IPvAnyAddress

from willis.api.needs import Asking, needs, theirs
from willis.control import metrics
from willis.control.controller import Controller
from willis.model.identity import Need
from willis.plan.rights import allowed

Json = dict[str, Any]


def routes(app: FastAPI, controller: Controller) -> None:
    """Add them to ``app``."""

    @app.get("/api/v1/status", **needs(Need.READ))
    async def status(who: Asking) -> Response:
        """All services that one may read, with their servers, states, sessions and bytes."""
        # A response of our own: FastAPI would go through all servers once more, which takes longest.
        return Response(orjson.dumps(theirs(who, await controller.status())), media_type="application/json")

    @app.get("/api/v1/status/{service}", **needs(Need.READ))
    async def status_of(service: str) -> Json:
        """One service."""
        return await controller.status(service)

    _checks(app, controller)
    _sessions(app, controller)

    @app.get("/api/v1/metrics", response_class=PlainTextResponse, **needs(Need.READ, whole=True))
    async def all_metrics() -> PlainTextResponse:
        """The state of everything as Prometheus reads it."""
        told = metrics.text(
            await controller.status(),
            controller.logbook.top(),
            controller.events.listed(10_000, open_only=True),
            controller.logbook.counts(),
            controller.loop.timings.collect(),
        )
        return PlainTextResponse(told, media_type="text/plain; version=0.0.4; charset=utf-8")


def _checks(app: FastAPI, controller: Controller) -> None:
    @app.get("/api/v1/explain/{service}/{host}", **needs(Need.READ))
    async def explain(service: str, host: str) -> Json:
        """Why a server is up or down, with the transcript of its checks."""
        return controller.explain(service, host)

    @app.get("/api/v1/checks", **needs(Need.READ))
    async def checks(who: Asking) -> Json:
        """What is asked of the servers, how often, what came of it last, and how many log lines it makes."""
        rows = controller.check_rows()
        may_read = allowed(who, Need.READ, (str(row["service"]) for row in rows))
        return {"checks": [row for row in rows if row["service"] in may_read]}

    @app.get("/api/v1/checks/{service}", **needs(Need.READ))
    async def checks_of(service: str) -> Json:
        """The check of one service."""
        return controller.check_rows(service)[0]

    @app.post("/api/v1/check/{service}/{host}", **needs(Need.OPERATE))
    async def check(service: str, host: str) -> Json:
        """Ask a real server now what its check asks, with the transcript; its verdict stays as it is."""
        return await controller.check(service, host)


def _sessions(app: FastAPI, controller: Controller) -> None:
    @app.get("/api/v1/sessions/{service}", **needs(Need.READ))
    async def sessions(service: str) -> Json:
        """The clients that persistence ties to a server."""
        return await controller.sessions(service)

    @app.delete("/api/v1/sessions/{service}", **needs(Need.OPERATE))
    async def forget(service: str, client: IPvAnyAddress | None = None) -> Json:
        """End the tie of one client, or of all of them; their connections stay."""
        return await controller.forget(service, client)
