"""Puts the routes together. They only translate: what may be done is decided in ``control``."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI

from willis import __version__
from willis.api import (
    acme,
    audit,
    backup,
    certificates,
    doctor,
    documents,
    events,
    identity,
    logs,
    needs,
    orders,
    problems,
    reports,
)
    secrets,
    users,
from willis.api.audited import Audited
from willis.api.door import Door
from willis.control.controller import Controller
from willis.api.named import Named


def build(controller: Controller, home: Path) -> FastAPI:
    """The application that serves ``controller``. ``home``: its engine's state directory."""
    app = FastAPI(title="Willis", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_middleware(Audited, audit=controller.audit)
    app.add_middleware(Door, identity=controller.identity)
    problems.handlers(app)
    app.add_middleware(Named)
    identity.handlers(app)
    problems.routes(app)
    identity.routes(app, controller.identity)
    reports.routes(app, controller)
    documents.routes(app, controller)
    orders.routes(app, controller)
    logs.routes(app, controller.logbook)
    if controller.renewal is not None:
        acme.routes(app, controller.renewal)
    certificates.routes(app, controller.certificates)
    events.routes(app, controller.events)
    audit.routes(app, controller.audit)
    backup.routes(app, controller, home)
    doctor.routes(app, controller.doctor)
    list(needs.needed(app))
    return app
    secrets.routes(app, controller.secrets)
