"""The routes of signing in. Passwords and codes come in; only the id of a new session goes out."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from willis.api.needs import Asking, needs
from willis.api.problems import answer
from willis.api.types import SecretText
from willis.control.backoff import Slowed
from willis.control.identity import Identity, NotKnown, Opened, SecondFactorNeeded
from willis.control.passwords import Busy
from willis.model.identity import Caller, Need, Way
from willis.plan.passwords import LONGEST

Json = dict[str, Any]
Password = Annotated[SecretText, Field(max_length=LONGEST)]
Name = Annotated[str, Field(max_length=64)]

_CROWD_S = 2
"""When whoever was sent away by a crowd may try again."""


class SecretBody(BaseModel):
    """What holds a password or a code: never repeated, not even in an error."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class SetupBody(SecretBody):
    """The first administrator."""

    code: SecretText = Field(max_length=100, description="From the engine's log or 'willis setup-code'")
    name: Name
    password: Password


class LoginBody(SecretBody):
    """Who signs in."""

    name: Name
    password: Password
    code: SecretText | None = Field(
        None, max_length=100, description="Of the second factor, or a recovery code"
    )


def routes(app: FastAPI, identity: Identity) -> None:
    """Add them to ``app``."""

    @app.get("/api/v1/setup", **needs(Need.NOTHING))
    async def setup_needed() -> Json:
        """Whether the first administrator is still to be made."""
        return {"needed": identity.setup_needed()}

    @app.post("/api/v1/setup", status_code=201, **needs(Need.NOTHING))
    async def set_up(body: SetupBody, request: Request, who: Asking) -> Json:
        """Make the first administrator, with the one-time code."""
        code, password = body.code.get_secret_value(), body.password.get_secret_value()
        return opened(await identity.set_up(code, body.name, password, who.source), request, who)

    @app.post("/api/v1/login", **needs(Need.NOTHING))
    async def login(body: LoginBody, request: Request, who: Asking) -> Json:
        """Begin a session."""
        code = None if body.code is None else body.code.get_secret_value()
        password = body.password.get_secret_value()
        return opened(await identity.login(body.name, password, code, who.source), request, who)


def handlers(app: FastAPI) -> None:
    """Add the answers to whoever does not get in."""
    app.add_exception_handler(NotKnown, _not_known)
    app.add_exception_handler(Slowed, _slowed)
    app.add_exception_handler(Busy, _slowed)


def opened(session: Opened, request: Request, before: Caller) -> Json:
    """The session. From here on the request is its user's, for the audit trail."""
    request.scope["caller"] = Caller(session.name, Way.SESSION, (), before.source)
    return {
        "session": session.key,
        "name": session.name,
        "idle_s": int(session.idle_s),
        "absolute_s": int(session.absolute_s),
    }


def _not_known(request: Request, error: Exception) -> Response:
    kind = "second-factor" if isinstance(error, SecondFactorNeeded) else "not-signed-in"
    return answer(request, kind, str(error), headers={"WWW-Authenticate": "Bearer"})


def _slowed(request: Request, error: Exception) -> Response:
    wait_s = error.wait_s if isinstance(error, Slowed) else _CROWD_S
    return answer(request, "slowed", str(error), headers={"Retry-After": str(wait_s)})
