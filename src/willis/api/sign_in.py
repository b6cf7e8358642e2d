"""The routes of signing in with an OpenID provider; the web process calls them for a browser."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Request
from pydantic import Field

from willis.api.identity import SecretBody, opened
from willis.api.needs import Asking, needs
from willis.api.types import SecretText
from willis.control.changes import Unknown
from willis.control.controller import Controller
from willis.control.identity import SignInFailed
from willis.control.oidc import Answer
from willis.control.vouched import Unproved
from willis.model.identity import Need
from willis.model.sign_in import Oidc

Json = dict[str, Any]
Part = Annotated[SecretText, Field(min_length=1, max_length=4096)]


class OidcBody(SecretBody):
    """What a browser brought back from the provider."""

    code: Part
    verifier: Part
    nonce: Part
    redirect_uri: Annotated[str, Field(pattern=r"^https://[!-~]{1,500}$")]


def routes(app: FastAPI, controller: Controller) -> None:
    """Add them to ``app``."""
    provider = controller.provider

    @app.get("/api/v1/login/oidc", **needs(Need.NOTHING))
    async def where() -> Json:
        """Where a browser begins to sign in with the OpenID provider."""
        return await provider.where(_oidc(controller))

    @app.post("/api/v1/login/oidc", **needs(Need.NOTHING))
    async def login(body: OidcBody, request: Request, who: Asking) -> Json:
        """Begin a session of whom the provider vouches for."""
        code, verifier, nonce = (each.get_secret_value() for each in (body.code, body.verifier, body.nonce))
        answer = Answer(code, verifier, nonce, body.redirect_uri)
        try:
            person = await provider.person(_oidc(controller), answer)
        except Unproved as error:
            raise SignInFailed(str(error)) from error
        session = controller.identity.open_session(person.name, person.grants, who.source, "oidc")
        return opened(session, request, who)


def _oidc(controller: Controller) -> Oidc:
    found = controller.loop.config.access.oidc
    if found is None:
        raise Unknown("the document names no OpenID provider under access.oidc; sign in with a password")
    return found
