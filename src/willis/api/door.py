"""The door in front of all routes: finds out who asks."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from willis.model.identity import Caller, Grant, Role, Way


class Door:
    """Whoever comes over the engine's own socket, which only its owner may open, is an administrator."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            client = scope.get("client")
            name = client[0] if client else "unknown"
            scope["caller"] = Caller(name, Way.CONSOLE, (Grant(Role.ADMIN),))
        await self._app(scope, receive, send)
