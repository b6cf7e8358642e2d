"""The routes of the certificate store. Keys and passphrases come in; none goes out."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import FastAPI
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field

from willis.api.needs import needs
from willis.api.types import SecretText
from willis.control.certificates import Certificates
from willis.model.identity import Need

Json = dict[str, Any]
Files = Annotated[list[Base64Bytes], Field(min_length=1, max_length=20, description="Each in base64")]


class AddBody(BaseModel):
    """PEM, DER or PFX files: a certificate, its chain and its key, in any order."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    files: Files
    passphrase: SecretText | None = Field(None, max_length=1000)


class AuthorityBody(BaseModel):
    """Whom to trust."""

    model_config = ConfigDict(extra="forbid")

    files: Files


class RequestBody(BaseModel):
    """What a signing request names."""

    model_config = ConfigDict(extra="forbid")

    domains: list[str] = Field(min_length=1, max_length=100)


def routes(app: FastAPI, certificates: Certificates) -> None:
    """Add them to ``app``."""

    @app.get("/api/v1/certificates", **needs(Need.READ))
    async def rows() -> Json:
        """All certificates."""
        return await asyncio.to_thread(certificates.rows)

    @app.get("/api/v1/certificates/{name}", **needs(Need.READ))
    async def show(name: str) -> Json:
        """One certificate with its chain."""
        return await asyncio.to_thread(certificates.show, name)

    @app.put("/api/v1/certificates/{name}", **needs(Need.CONFIGURE, whole=True))
    async def add(name: str, body: AddBody) -> Json:
        """Store or replace a certificate."""
        secret = body.passphrase.get_secret_value() if body.passphrase is not None else None
        return certificates.add(name, body.files, secret)

    @app.delete("/api/v1/certificates/{name}", **needs(Need.CONFIGURE, whole=True))
    async def remove(name: str) -> Json:
        """Forget a certificate that no service uses."""
        return certificates.remove(name)

    @app.post("/api/v1/certificates/{name}/request", **needs(Need.CONFIGURE, whole=True))
    async def request(name: str, body: RequestBody) -> Json:
        """A signing request; its key stays here."""
        return certificates.request(name, body.domains)

    @app.get("/api/v1/authorities", **needs(Need.READ))
    async def authorities() -> Json:
        """Whom the site trusts, by name."""
        return await asyncio.to_thread(certificates.authorities)

    @app.put("/api/v1/authorities/{name}", **needs(Need.CONFIGURE, whole=True))
    async def add_authority(name: str, body: AuthorityBody) -> Json:
        """Store or replace whom to trust under a name."""
        return certificates.add_authority(name, body.files)

    @app.delete("/api/v1/authorities/{name}", **needs(Need.CONFIGURE, whole=True))
    async def remove_authority(name: str) -> Json:
        """Trust an authority no more, which nothing in the document names."""
        return certificates.remove_authority(name)
