"""Stands before all routes: what it refuses reaches neither a route of ours nor the engine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from willis.web import cookies, hosts, origin, targets
from willis.web.buckets import Buckets, Proved
from willis.web.headers import secured
from willis.web.problems import problem

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
MOST_HEADER = 32_768
"""Bytes of a request's line and headers."""
_NO_PROOF = 401
_API = "/api/v1/"
_FOR_STRANGERS = tuple(_API + route for route in ("login", "setup", "problems", "openapi.json"))
"""Where a credential is not looked at, so that none is proved there."""


def _strangers() -> Buckets:
    return Buckets(burst=60, per_second=1.0)


@dataclass(slots=True)
class Door:
    """Who may come in, and under which names."""

    names: frozenset[str]
    """Host names and addresses answered to beside the address connected to, in lower case."""
    networks: tuple[hosts.Network, ...] = ()
    """Where clients may come from; empty: anywhere."""
    strangers: Buckets = field(default_factory=_strangers)
    """Requests without a credential, and credentials that the engine did not take."""


class Guard:
    """ASGI middleware around the whole application; sets the headers of every answer too."""

    def __init__(self, app: ASGIApp, door: Door, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._door = door
        self._clock = clock
        self._proved = Proved()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers, client = Headers(scope=scope), client_of(scope)
        credential = _credential(headers, scope["path"])

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                if credential is not None:
                    self._learn(credential, message["status"], client)
                message = {**message, "headers": secured(message.get("headers", ()))}
            await send(message)

        refusal = self._refusal(scope, headers, client) or self._slowed(credential, client)
        if refusal is None and credential is None:
            self._door.strangers.take(client, self._clock())
        await (refusal or self._app)(scope, receive, answer)

    def _refusal(self, scope: Scope, headers: Headers, client: str) -> Response | None:
        if not hosts.allowed(client, self._door.networks):
            return problem(403, f"{client} is in no network of --allow")
        if not hosts.meant(headers.get("host", ""), self._door.names, scope["server"][0]):
            return problem(421, "this node does not answer to that name; add it with --host NAME")
        why = targets.refused(target_of(scope))
        if why is not None:
            return problem(400, why)
        if sum(len(name) + len(value) for name, value in headers.raw) > MOST_HEADER:
            return problem(431, f"the headers are longer than {MOST_HEADER:,} bytes")
        if scope["method"] not in METHODS:
            return problem(405, f"only {', '.join(sorted(METHODS))} are served")
        cookie = cookies.read(headers.get("cookie"), cookies.SESSION) is not None
        why = origin.forged(scope["method"], headers, cookie=cookie)
        return None if why is None else problem(403, f"refused, since {why}")

    def _slowed(self, credential: str | None, client: str) -> Response | None:
        wait = self._door.strangers.wait(client, self._clock())
        if wait == 0 or (credential is not None and credential in self._proved):
            return None
        why = f"too many requests from {client} without a valid credential; the console is not affected"
        return problem(429, why, retry_s=math.ceil(wait))

    def _learn(self, credential: str, status: int, client: str) -> None:
        """What an answer says about the credential that was sent."""
        if status == _NO_PROOF:
            self._proved.discard(credential)
            self._door.strangers.take(client, self._clock())
        elif status < 400:
            self._proved.add(credential)


def client_of(scope: Scope) -> str:
    """The address that asks, as the kernel says; an IPv4 one never in IPv6's clothes."""
    address = hosts.plain_address(scope["client"][0])
    return str(address)


def target_of(scope: Scope) -> bytes:
    """Path and query as they came."""
    path: bytes = scope["raw_path"]
    query: bytes = scope["query_string"]
    return path + b"?" + query if query else path


def _credential(headers: Headers, path: str) -> str | None:
    """What shall prove who asks, where that is asked for."""
    if not path.startswith(_API) or path.startswith(_FOR_STRANGERS):
        return None
    return headers.get("authorization") or cookies.read(headers.get("cookie"), cookies.SESSION)
