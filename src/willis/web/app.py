"""Puts the routes together: the API as the engine serves it, signing in elsewhere, and one page."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from willis.web import page
from willis.web.guard import METHODS, Door, Guard
from willis.web.oidc import CALLBACK, Oidc
from willis.web.problems import problem
from willis.web.proxy import Engine


def build(engine: Engine, door: Door) -> ASGIApp:
    """The application that serves whom ``door`` lets in."""
    oidc = Oidc(engine)
    app = Starlette(
        routes=[
            Route("/", page.home),
            Route("/style.css", page.style),
            Route("/login/oidc", oidc.start),
            Route(CALLBACK, oidc.end),
            Route("/api/v1/{rest:path}", engine.forward, methods=sorted(METHODS)),
        ],
        exception_handlers={HTTPException: _not_served},
    )
    app.router.redirect_slashes = False
    return Guard(app, door)


async def _not_served(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    why = (
        "nothing is served there; the API is below /api/v1/" if status == 404 else "see the API's description"
    )
    return problem(status, why)
