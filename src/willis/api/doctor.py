"""The route of the doctor."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from willis.control.doctor import Doctor

Json = dict[str, Any]


def routes(app: FastAPI, doctor: Doctor) -> None:
    """Add it to ``app``."""

    @app.get("/api/v1/doctor")
    async def report() -> Json:
        """Faults of network and settings around this node, found by looking now, each with its remedy."""
        return await doctor.report()
