"""The routes for certificates that look after themselves. Secrets come in; none goes out."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from willis.api.needs import needs
from willis.api.types import SecretText
from willis.control.renewal import Renewal
from willis.model.identity import Need

Json = dict[str, Any]


class BindingBody(BaseModel):
    """What an authority gave for its contract with the site (external account binding)."""

    model_config = ConfigDict(extra="forbid")

    kid: str = Field(max_length=200)
    hmac_key: SecretText = Field(max_length=2000)


def routes(app: FastAPI, renewal: Renewal) -> None:
    """Add them to ``app``."""

    @app.get("/api/v1/acme", **needs(Need.READ))
    async def status() -> Json:
        """What is ordered, when it is renewed, and why it was not."""
        return renewal.report()

    @app.post("/api/v1/acme/account", **needs(Need.CONFIGURE, whole=True))
    async def account(body: BindingBody) -> Json:
        """Keep the key id and the HMAC key of an external account."""
        renewal.bind(body.kid, body.hmac_key.get_secret_value())
        return {"eab_kid": body.kid.strip()}

    @app.post("/api/v1/acme/renew/{name}", **needs(Need.CONFIGURE, whole=True))
    async def renew(name: str) -> Json:
        """Order a certificate now."""
        return await renewal.renew(name)
