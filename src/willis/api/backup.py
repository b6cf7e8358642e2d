"""The route of backups."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from willis.api.needs import needs
from willis.api.types import SecretText
from willis.control.backup import pack
from willis.control.backup_seal import BackupError, Passphrase, Recipient
from willis.control.changes import Refused
from willis.control.controller import Controller
from willis.model.identity import Need


class BackupBody(BaseModel):
    """What closes the backup, one of both."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    passphrase: SecretText | None = Field(None, max_length=1000, description="It opens the backup too")
    recipient: str | None = Field(
        None, max_length=1000, description="An X25519 public key, PEM or the base64 in it; it opens nothing"
    )

    def lock(self) -> Passphrase | Recipient:
        """Raises BackupError."""
        if self.passphrase is not None and self.recipient is None:
            return Passphrase(self.passphrase.get_secret_value())
        if self.recipient is not None and self.passphrase is None:
            return Recipient.read(self.recipient)
        raise BackupError("give either a passphrase or a recipient")


def routes(app: FastAPI, controller: Controller, state: Path) -> None:
    """Add it to ``app``. ``state``: the engine's state directory."""

    @app.post("/api/v1/backup", response_class=Response, **needs(Need.ADMINISTER))
    async def backup(body: BackupBody) -> Response:
        """All that the node must not lose, in one file under a passphrase or for a recipient."""
        site = controller.loop.config.site
        try:
            found = await asyncio.to_thread(pack, state, controller.node, site, body.lock())
        except BackupError as error:
            raise Refused(str(error)) from error
        return Response(found, media_type="application/octet-stream")
