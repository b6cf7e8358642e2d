"""The route of backups."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from willis.api.needs import needs
from willis.api.types import SecretText
from willis.control.backup import BackupError, pack
from willis.control.changes import Refused
from willis.control.controller import Controller
from willis.model.identity import Need


class BackupBody(BaseModel):
    """What the backup is sealed with."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    passphrase: SecretText = Field(max_length=1000)


def routes(app: FastAPI, controller: Controller, state: Path) -> None:
    """Add it to ``app``. ``state``: the engine's state directory."""

    @app.post("/api/v1/backup", response_class=Response, **needs(Need.ADMINISTER))
    async def backup(body: BackupBody) -> Response:
        """All that the node must not lose, in one file under a passphrase."""
        site = controller.loop.config.site
        secret = body.passphrase.get_secret_value()
        try:
            found = await asyncio.to_thread(pack, state, controller.node, site, secret)
        except BackupError as error:
            raise Refused(str(error)) from error
        return Response(found, media_type="application/octet-stream")
