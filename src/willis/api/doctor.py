"""The route of the doctor."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from willis.api.needs import needs
from willis.control.doctor import Doctor
from willis.model.identity import Need

Json = dict[str, Any]


def routes(app: FastAPI, doctor: Doctor) -> None:
    """Add it to ``app``."""

    @app.get("/api/v1/doctor", **needs(Need.READ, whole=True))
    async def report() -> Json:
        """Faults of network and settings around this node, found by looking now, each with its remedy."""
        return await doctor.report()
