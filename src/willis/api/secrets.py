"""The routes of sealed secrets. Values come in; none goes out."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict, Field

from willis.api.needs import needs
from willis.api.types import SecretText
from willis.control.secrets import LONGEST, Keeping
from willis.model.identity import Need

Json = dict[str, Any]
Name = Annotated[str, InPath(max_length=63, description="As the document names it")]


class SecretBody(BaseModel):
    """A secret on its way in."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    value: SecretText = Field(min_length=1, max_length=LONGEST)


def routes(app: FastAPI, secrets: Keeping) -> None:
    """Add them to ``app``."""

    @app.get("/api/v1/secrets", **needs(Need.ADMINISTER))
    async def rows() -> Json:
        """The names of all secrets, who uses them, and those that the document names in vain."""
        return secrets.rows()

    @app.put("/api/v1/secrets/{name}", **needs(Need.ADMINISTER))
    async def put(name: Name, body: SecretBody) -> Json:
        """Store or replace a secret."""
        return secrets.put(name, body.value.get_secret_value())

    @app.delete("/api/v1/secrets/{name}", **needs(Need.ADMINISTER))
    async def remove(name: Name) -> Json:
        """Forget a secret that the document does not name."""
        return secrets.remove(name)
