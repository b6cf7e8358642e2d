"""The door in front of all routes: finds out who asks.

At the console's socket it is the user whom the kernel names, an administrator. What comes by
the web process has to prove itself, and so does whoever sends a credential to the console's.
Of all headers that speak for others only ``Willis-Client`` is read, and only from the web process.
"""

from __future__ import annotations

from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from willis.api.needs import REFUSED, STILL
from willis.api.peer import ENGINE, WEB
from willis.control.identity import Identity, NotKnown
from willis.model.identity import NOBODY, Caller, Grant, Role, Way


class Door:
    """Around the whole application."""

    def __init__(self, app: ASGIApp, identity: Identity) -> None:
        self._app = app
        self._identity = identity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope[STILL] = lambda: self._still(scope)
            try:
                scope["caller"] = self._caller(scope)
            except NotKnown as error:
                scope["caller"] = Caller(NOBODY.name, NOBODY.way, source=_source(scope))
                scope[REFUSED] = str(error)
        await self._app(scope, receive, send)

    def _caller(self, scope: Scope) -> Caller:
        """Raises NotKnown."""
        sent, source = Headers(scope=scope).getlist("authorization"), _source(scope)
        if len(sent) > 1:
            raise NotKnown("more than one Authorization header came")
        if sent:
            return self._identity.caller(sent[0], source)
        if _socket(scope) == ENGINE:
            return Caller(scope["client"][0], Way.CONSOLE, (Grant(Role.ADMIN),), source)
        return Caller(NOBODY.name, NOBODY.way, source=source)

    def _still(self, scope: Scope) -> bool:
        sent = Headers(scope=scope).get("authorization")
        return sent is None or self._identity.still(sent, _source(scope))


def _socket(scope: Scope) -> str:
    server = scope.get("server")
    return str(server[0]) if server else ""


def _source(scope: Scope) -> str:
    """Where the client is: its address as the web process saw it, else ``socket``."""
    if _socket(scope) != WEB:
        return "socket"
    try:
        return str(ip_address(Headers(scope=scope).get("willis-client", "")))
    except ValueError:
        return "unknown"
