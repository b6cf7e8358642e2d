"""The routes. They only translate: what may be done is decided in ``control``."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import IPvAnyAddress

from willis import __version__
from willis.api import acme, audit, backup, certificates, doctor, events, logs
from willis.api.audited import Audited
from willis.api.types import ApplyBody, AuthorBody, DocumentBody, OrderBody, WishBody
from willis.config import Problem, load
from willis.control import metrics
from willis.control.changes import Invalid, Plan, Refused, Wish, lines
from willis.control.controller import Controller
from willis.control.database import StoreError
from willis.control.store import Revision
from willis.model.status import Admin
from willis.plan.diff import Change
from willis.plan.terms import Term

Json = dict[str, Any]


def build(controller: Controller, home: Path) -> FastAPI:
    """The application that serves ``controller``. ``home``: its engine's state directory."""
    app = FastAPI(title="Willis", version=__version__, docs_url=None, redoc_url=None)
    app.add_middleware(Audited, audit=controller.audit)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(StoreError, _store_failed)
    app.add_exception_handler(RequestValidationError, _not_understood)
    _reports(app, controller)
    _monitoring(app, controller)
    _documents(app, controller)
    logs.routes(app, controller.logbook)
    if controller.renewal is not None:
        acme.routes(app, controller.renewal)
    certificates.routes(app, controller.certificates)
    events.routes(app, controller.events)
    audit.routes(app, controller.audit)
    backup.routes(app, controller, home)
    doctor.routes(app, controller.doctor)
    for state in Admin:
        _order(app, controller, state)
    return app


def _reports(app: FastAPI, controller: Controller) -> None:
    @app.get("/api/v1/status")
    async def status() -> Json:
        """All services with their servers, states, sessions and bytes."""
        return await controller.status()

    @app.get("/api/v1/status/{service}")
    async def status_of(service: str) -> Json:
        """One service."""
        return await controller.status(service)

    @app.get("/api/v1/explain/{service}/{host}")
    async def explain(service: str, host: str) -> Json:
        """Why a server is up or down, with the transcript of its checks."""
        return controller.explain(service, host)

    @app.post("/api/v1/check/{service}/{host}")
    async def check(service: str, host: str) -> Json:
        """Ask a real server now what its check asks, with the transcript; its verdict stays as it is."""
        return await controller.check(service, host)

    @app.get("/api/v1/sessions/{service}")
    async def sessions(service: str) -> Json:
        """The clients that persistence ties to a server."""
        return await controller.sessions(service)

    @app.delete("/api/v1/sessions/{service}")
    async def forget(service: str, client: IPvAnyAddress | None = None) -> Json:
        """End the tie of one client, or of all of them; their connections stay."""
        return await controller.forget(service, client)

    @app.get("/api/v1/history")
    async def history() -> Json:
        """The revisions, newest first."""
        return {"revisions": [_revision(r) for r in controller.store.history()]}

    @app.get("/api/v1/revisions/{number}")
    async def revision(number: int) -> Json:
        """One revision with its document."""
        found = _known(controller, number)
        return _revision(found) | {"document": found.document}

    @app.get("/api/v1/revisions/{old}/diff/{new}")
    async def diff(old: int, new: int) -> Json:
        """How two documents differ, as ``diff -u`` prints it."""
        texts = [_known(controller, number).document for number in (old, new)]
        return {"old": old, "new": new, "diff": list(lines(*texts))}


def _monitoring(app: FastAPI, controller: Controller) -> None:
    @app.get("/api/v1/metrics", response_class=PlainTextResponse)
    async def all_metrics() -> PlainTextResponse:
        """The state of everything as Prometheus reads it."""
        told = metrics.text(
            await controller.status(),
            controller.logbook.top(),
            controller.events.listed(10_000, open_only=True),
        )
        return PlainTextResponse(told, media_type="text/plain; version=0.0.4; charset=utf-8")


def _documents(app: FastAPI, controller: Controller) -> None:
    @app.post("/api/v1/validate")
    async def validate(body: DocumentBody) -> Json:
        """All problems of a document."""
        loaded = await asyncio.to_thread(load, body.document)
        return {"ok": loaded.config is not None, "problems": [_problem(p) for p in loaded.problems]}

    @app.post("/api/v1/plan")
    async def plan(body: DocumentBody) -> Json:
        """What applying a document would do."""
        return _plan(await controller.changes.plan(body.document), await _sessions(controller))

    @app.post("/api/v1/apply")
    async def apply(body: ApplyBody) -> Json:
        """Make a document the running one, whole or not at all."""
        return _applied(await controller.apply(body.document, _wish(body)), controller)

    @app.post("/api/v1/confirm")
    async def confirm() -> Json:
        """What runs on trial holds for good."""
        return _applied(await controller.changes.confirm(), controller)

    @app.post("/api/v1/undo")
    async def undo(body: AuthorBody) -> Json:
        """What runs on trial is taken back; else the document before the running one returns."""
        return _applied(await controller.undo(body.author), controller)

    @app.post("/api/v1/revisions/{number}/restore")
    async def restore(number: int, body: WishBody) -> Json:
        """The document of an earlier revision, as a new one."""
        return _applied(await controller.restore(number, _wish(body)), controller)


def _order(app: FastAPI, controller: Controller, state: Admin) -> None:
    @app.post(f"/api/v1/{state}", name=str(state))
    async def order(body: OrderBody) -> Json:
        """Set a host, in all its services and both layers, or one of its real servers."""
        until = None if body.for_s is None else time.time() + body.for_s
        done = controller.orders.give(
            body.where, state, term=Term(until, body.halt_when_idle), force=body.force
        )
        return {
            "where": body.where,
            "admin": state.value,
            "until": until,
            "services": done.services,
            "without_servers": done.short,
            "sessions": await controller.oldest.carried(body.where.rpartition("/")[2], done.services)
            if state is Admin.DRAIN
            else None,
        }


async def _sessions(controller: Controller) -> dict[str, int]:
    report = await controller.status()
    rows: Any = report["services"]
    return {row["name"]: row["sessions"]["active"] for row in rows}


def _known(controller: Controller, number: int) -> Revision:
    found = controller.store.revision(number)
    if found is None:
        raise Refused(f"there is no revision {number}; see 'willis history'")
    return found


def _wish(body: WishBody) -> Wish:
    return Wish(body.author, body.reason, body.force, body.checksum, body.confirm_s)


def _applied(revision: Revision, controller: Controller) -> Json:
    trial = controller.changes.trial()
    until = None if trial is None else trial.until
    return {"revision": revision.number, "digest": revision.digest, "confirm_until": until}


def _difference(change: Change) -> list[str]:
    """What a change does to an artefact, in lines; texts as ``diff -u`` prints them."""
    have, want = change.have, change.want
    if isinstance(have, str | None) and isinstance(want, str | None):
        return list(lines(have or "", want or ""))
    return [f"{sign}{value}" for sign, value in (("-", have), ("+", want)) if value is not None]


def _plan(plan: Plan, sessions: dict[str, int]) -> Json:
    return {
        "base": plan.base,
        "checksum": plan.checksum,
        "impact": [
            {"service": i.service, "effect": i.effect.value, "sessions": sessions.get(i.service, 0)}
            for i in plan.impact
        ],
        "changes": [
            {
                "engine": c.engine,
                "key": c.key,
                "action": c.action.value,
                "how": "reload" if c.reloads else "at run time",
                "diff": _difference(c),
            }
            for c in plan.changes
        ],
        "document": list(plan.document),
        "guard": {"ok": plan.guard.ok, "reason": plan.guard.reason},
        "problems": [_problem(p) for p in plan.warnings],
    }


def _revision(revision: Revision) -> Json:
    return {
        "revision": revision.number,
        "digest": revision.digest,
        "at": revision.at,
        "author": revision.author,
        "reason": revision.reason,
        "state": revision.state.value,
        "note": revision.note,
    }


def _problem(problem: Problem) -> Json:
    return {
        "path": problem.path,
        "line": problem.line,
        "severity": problem.severity.value,
        "what": problem.what,
        "remedy": problem.remedy,
    }


def _refused(_: Request, error: Exception) -> JSONResponse:
    """RFC 9457: the reason in words, and every problem of a document."""
    invalid = isinstance(error, Invalid)
    body: Json = {"title": "refused", "status": 422 if invalid else 409, "detail": str(error)}
    if isinstance(error, Invalid):
        body["problems"] = [_problem(p) for p in error.problems]
    return JSONResponse(body, status_code=body["status"], media_type="application/problem+json")


def _not_understood(_: Request, error: Exception) -> JSONResponse:
    """What is wrong with a body, without repeating it: it may hold a key or a passphrase."""
    problems = error.errors() if isinstance(error, RequestValidationError) else ()
    said = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problems)
    body = {"title": "not understood", "status": 422, "detail": said}
    return JSONResponse(body, status_code=422, media_type="application/problem+json")


def _store_failed(_: Request, error: Exception) -> JSONResponse:
    body = {"title": "the store failed", "status": 507, "detail": str(error)}
    return JSONResponse(body, status_code=507, media_type="application/problem+json")
