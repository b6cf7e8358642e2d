"""The routes of documents: from problems over plan and apply to confirm, undo and history."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI

from willis.api.needs import Asking, Denied, author, demand_entries, needs
from willis.api.pages import Cursor, Limit, before, page
from willis.api.problems import problem_row
from willis.api.types import ApplyBody, AuthorBody, DocumentBody, WishBody
from willis.config import load
from willis.config.edit import differences
from willis.control.changes import Plan, Unknown, Wish, lines
from willis.control.controller import Controller
from willis.control.store import Revision, Trial
from willis.model.identity import Caller, Need
from willis.plan.diff import Change
from willis.plan.impact import Impact
from willis.plan.rights import allowed, everywhere

Json = dict[str, Any]


def routes(app: FastAPI, controller: Controller) -> None:
    """Add them to ``app``."""
    _history(app, controller)

    @app.post("/api/v1/validate", **needs(Need.READ))
    async def validate(body: DocumentBody) -> Json:
        """All problems of a document."""
        loaded = await asyncio.to_thread(load, body.document)
        return {"ok": loaded.config is not None, "problems": [problem_row(p) for p in loaded.problems]}

    @app.post("/api/v1/plan", **needs(Need.CONFIGURE, whole=True))
    async def plan(body: DocumentBody) -> Json:
        """What applying a document would do."""
        return planned(await controller.changes.plan(body.document))

    @app.post("/api/v1/apply", **needs(Need.CONFIGURE, whole=True))
    async def apply(body: ApplyBody, who: Asking) -> Json:
        """Make a document the running one, whole or not at all."""
        before = controller.audit.digest()
        return applied(await controller.apply(body.document, wish(body, who)), controller, before, who)

    @app.post("/api/v1/confirm", **needs(Need.CONFIGURE))
    async def confirm(who: Asking) -> Json:
        """What runs on trial holds for good; in some services, for who began it."""
        seen, before = await _trial(controller, who), controller.audit.digest()
        return applied(await controller.changes.confirm(seen), controller, before, who)

    @app.post("/api/v1/undo", **needs(Need.CONFIGURE))
    async def undo(body: AuthorBody, who: Asking) -> Json:
        """What runs on trial is taken back, in some services by who began it; else the former one returns."""
        seen, before = await _trial(controller, who), controller.audit.digest()
        return applied(await controller.undo(author(who, body.author), seen), controller, before, who)

    @app.post("/api/v1/revisions/{number}/restore", **needs(Need.CONFIGURE, whole=True))
    async def restore(number: int, body: WishBody, who: Asking) -> Json:
        """The document of an earlier revision, as a new one."""
        before = controller.audit.digest()
        return applied(await controller.restore(number, wish(body, who)), controller, before, who)


def _history(app: FastAPI, controller: Controller) -> None:
    @app.get("/api/v1/history", **needs(Need.READ))
    async def history(limit: Limit = 100, cursor: Cursor = None) -> Json:
        """The revisions, newest first."""
        rows = controller.store.history(limit + 1, before(cursor))
        found, further = page(rows, limit, cursor, lambda revision: -revision.number)
        return {"revisions": [_revision(r) for r in found], "next_cursor": further}

    @app.get("/api/v1/revisions/{number}", **needs(Need.READ, whole=True))
    async def revision(number: int) -> Json:
        """One revision with its document."""
        found = _known(controller, number)
        return _revision(found) | {"document": found.document}

    @app.get("/api/v1/revisions/{old}/diff/{new}", **needs(Need.READ, whole=True))
    async def diff(old: int, new: int) -> Json:
        """How two documents differ, as ``diff -u`` prints it."""
        texts = [_known(controller, number).document for number in (old, new)]
        return {"old": old, "new": new, "diff": list(lines(*texts))}


async def _trial(controller: Controller, who: Caller) -> Trial | None:
    """The trial that ``who`` may end; None: there is none, and they may change the whole site.

    Who began it may end it as long as they may still change all that it changed. Raises Denied.
    """
    trial = controller.changes.trial()
    if everywhere(who, Need.CONFIGURE):
        return trial
    if trial is None or trial.author != who.name:
        raise Denied(who, Need.CONFIGURE, ["the whole site"])
    texts = [_known(controller, number).document for number in (trial.base, trial.revision)]
    demand_entries(who, [edit.path for edit in await asyncio.to_thread(differences, *texts)])
    return trial


def _known(controller: Controller, number: int) -> Revision:
    found = controller.store.revision(number)
    if found is None:
        raise Unknown(f"there is no revision {number}; see 'willis history'")
    return found


def wish(body: WishBody, who: Caller, base: str | None = None) -> Wish:
    """What a body wants. ``base``: the digest of the document that it was made from."""
    return Wish(author(who, body.author), body.reason, body.force, body.checksum, body.confirm_s, base)


def applied(revision: Revision, controller: Controller, before: str, who: Caller) -> Json:
    """The answer of a change. ``before``: the digest of what ran; the same again changes nothing.

    What becomes of sessions is told of the services that ``who`` may read.
    """
    mine = allowed(who, Need.READ, [each.service for each in revision.impact])
    trial = controller.changes.trial()
    until = None if trial is None else trial.until
    return {
        "revision": revision.number,
        "digest": revision.digest,
        "confirm_until": until,
        "changed": revision.digest != before,
        "impact": _impact(each for each in revision.impact if each.service in mine),
    }


def _impact(found: Iterable[Impact]) -> list[Json]:
    return [
        {
            "service": i.service,
            "effect": i.effect.value,
            "sessions": i.sessions,
            "drops": i.drops,
            "why": i.why,
        }
        for i in found
    ]


def _difference(change: Change) -> list[str]:
    """What a change does to an artefact, in lines; texts as ``diff -u`` prints them."""
    have, want = change.have, change.want
    if isinstance(have, str | None) and isinstance(want, str | None):
        return list(lines(have or "", want or ""))
    return [f"{sign}{value}" for sign, value in (("-", have), ("+", want)) if value is not None]


def planned(plan: Plan) -> Json:
    """What applying a document would do."""
    return {
        "base": plan.base,
        "checksum": plan.checksum,
        "impact": _impact(plan.impact),
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
        "problems": [problem_row(p) for p in plan.warnings],
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
