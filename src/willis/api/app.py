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
    changesets,
    contract,
    doctor,
    documents,
    entries,
    events,
    graphs,
    identity,
    logs,
    me,
    needs,
    orders,
    problems,
    reports,
    secrets,
    sign_in,
    stream,
    users,
)
from willis.api.audited import Audited
from willis.api.bounded import Bounded
from willis.api.door import Door
from willis.api.named import Named
from willis.api.once import AtMostOnce
from willis.control.controller import Controller
from willis.control.once import Once


def build(controller: Controller, home: Path) -> FastAPI:
    """The application that serves ``controller``. ``home``: its engine's state directory."""
    app = FastAPI(title="Willis", version=__version__, openapi_url=None, redirect_slashes=False)
    app.add_middleware(AtMostOnce, once=Once(controller.store.database))
    app.add_middleware(Audited, audit=controller.audit)
    app.add_middleware(Bounded)
    app.add_middleware(Door, identity=controller.identity)
    app.add_middleware(Named)
    problems.handlers(app)
    problems.routes(app)
    identity.handlers(app)
    identity.routes(app, controller.identity)
    sign_in.routes(app, controller)
    me.routes(app, controller.identity, controller.node)
    users.routes(app, controller.identity)
    reports.routes(app, controller)
    stream.routes(app, controller)
    documents.routes(app, controller)
    entries.routes(app, controller)
    changesets.routes(app, controller)
    orders.routes(app, controller)
    logs.routes(app, controller.logbook)
    graphs.routes(app, controller.history)
    if controller.renewal is not None:
        acme.routes(app, controller.renewal)
    certificates.routes(app, controller.certificates)
    events.routes(app, controller)
    audit.routes(app, controller.audit)
    backup.routes(app, controller, home)
    secrets.routes(app, controller.secrets)
    doctor.routes(app, controller.doctor)
    contract.routes(app)
    list(needs.needed(app))
    return app
