"""The routes of change sets: gather edits, look at them as one plan, apply them as one change.

Everybody reads them, each only what they may read of the document. Its author and administrators
change a set; whoever stages or applies must be able to change each of its entries alone.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Path, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from willis.api.documents import applied, planned, wish
from willis.api.entries import IfMatch, matched
from willis.api.needs import REASON, Asking, Denied, author, demand_entries, needs
from willis.api.pages import Cursor, Limit, page, tagged
from willis.api.problems import problem_row
from willis.api.types import AuthorBody, ValueBody, WishBody
from willis.config.problem import point
from willis.config.splice import Data
from willis.control.changesets import ChangeSet, Outlook
from willis.control.changesets import Path as Place
from willis.control.controller import Controller
from willis.control.store import Revision
from willis.model.identity import Caller, Need
from willis.plan.rights import allowed, everywhere, is_admin

Json = dict[str, Any]
Number = Annotated[int, Path(ge=1, le=2**53, description="The change set's number")]
_ROUTE = "/api/v1/changesets"
_ONE = f"{_ROUTE}/{{changeset}}"


class BeginBody(AuthorBody):
    """A new change set."""

    reason: str = Field("", max_length=1000)


class ReviewedBody(WishBody):
    """The plan that was looked at, and how to apply it."""

    checksum: str = Field(max_length=64, description="The plan that was looked at; no other is applied")


def routes(app: FastAPI, controller: Controller) -> None:
    """Add them to ``app``."""
    _sets(app, controller)
    _staging(app, controller)
    _applying(app, controller)


def _sets(app: FastAPI, controller: Controller) -> None:
    sets = controller.changesets

    @app.post(_ROUTE, status_code=201, **needs(Need.CONFIGURE))
    async def begin(body: BeginBody, who: Asking, if_match: IfMatch = None) -> Response:
        """Begin a change set on the running document; with If-Match only if that is still the one read."""
        base = None if if_match is None else matched(if_match)
        found = sets.begin(author(who, body.author), body.reason, base)
        return _staged(who, await sets.look(found), 201)

    @app.get(_ROUTE, **needs(Need.READ))
    async def every(limit: Limit = 100, cursor: Cursor = None) -> Json:
        """The change sets that wait to be applied, oldest first."""
        found, further = page(sets.all(), limit, cursor, lambda each: each.number)
        return {"changesets": [_row(each) for each in found], "next_cursor": further}

    @app.get(_ONE, **needs(Need.READ))
    async def show(request: Request, changeset: Number, who: Asking) -> Response:
        """One change set as it stands now: its edits, who changed the same meanwhile, and what is wrong."""
        outlook = await sets.look(sets.find(changeset))
        return tagged(request, _shown(who, outlook), outlook.tag)

    @app.delete(_ONE, **needs(Need.CONFIGURE))
    async def discard(changeset: Number, who: Asking) -> Json:
        """Forget a change set; nothing that runs changes."""
        sets.discard(_own(controller, changeset, who))
        return {"changeset": changeset}


def _staging(app: FastAPI, controller: Controller) -> None:
    @app.put(f"{_ONE}/services/{{service}}", **needs(Need.CONFIGURE))
    async def set_service(
        changeset: Number, service: str, body: ValueBody, who: Asking, if_match: IfMatch = None
    ) -> Response:
        """Stage a service as it shall be."""
        return await _stage(controller, changeset, ("services", service), body.value, who, if_match)

    @app.delete(f"{_ONE}/services/{{service}}", **needs(Need.CONFIGURE))
    async def drop_service(
        changeset: Number, service: str, who: Asking, if_match: IfMatch = None
    ) -> Response:
        """Stage that a service goes."""
        return await _stage(controller, changeset, ("services", service), None, who, if_match)

    @app.put(f"{_ONE}/hosts/{{host}}", **needs(Need.CONFIGURE, whole=True))
    async def set_host(
        changeset: Number, host: str, body: ValueBody, who: Asking, if_match: IfMatch = None
    ) -> Response:
        """Stage a host as it shall be."""
        return await _stage(controller, changeset, ("hosts", host), body.value, who, if_match)

    @app.delete(f"{_ONE}/hosts/{{host}}", **needs(Need.CONFIGURE, whole=True))
    async def drop_host(changeset: Number, host: str, who: Asking, if_match: IfMatch = None) -> Response:
        """Stage that a host goes."""
        return await _stage(controller, changeset, ("hosts", host), None, who, if_match)


def _applying(app: FastAPI, controller: Controller) -> None:
    sets = controller.changesets

    @app.post(f"{_ONE}/plan", **needs(Need.CONFIGURE))
    async def plan(changeset: Number, who: Asking) -> Json:
        """What applying it would do."""
        found = _own_whole(controller, changeset, who)
        outlook = await sets.ready(found)
        return _their_part(who, planned(await controller.changes.plan(outlook.document)))

    @app.post(f"{_ONE}/apply", **needs(Need.CONFIGURE))
    async def apply(request: Request, changeset: Number, body: ReviewedBody, who: Asking) -> Json:
        """Make it run as the plan said, whole or not at all; then the set is gone."""
        found = _own_whole(controller, changeset, who)
        request.scope[REASON] = body.reason or found.reason
        before = controller.audit.digest()
        done = await sets.apply(found, wish(body, who), controller.apply)
        return applied(done, controller, before, who)


async def _stage(
    controller: Controller,
    number: int,
    path: Place,
    value: Data,
    who: Caller,
    if_match: str | None,
) -> Response:
    found = _own(controller, number, who)
    return _staged(who, await controller.changesets.stage(found, path, value, matched(if_match)))


def _own(controller: Controller, number: int, who: Caller) -> ChangeSet:
    """A set that ``who`` may change. Raises Unknown, Denied."""
    found = controller.changesets.find(number)
    if found.author != who.name and not is_admin(who.grants):
        raise Denied(who, Need.CONFIGURE, [f"change set {number}, which is {found.author}'s"])
    return found


def _own_whole(controller: Controller, number: int, who: Caller) -> ChangeSet:
    """A set of which ``who`` may change every entry, now too. Raises Unknown, Denied."""
    found = _own(controller, number, who)
    demand_entries(who, [edit.path for edit in found.edits])
    return found


def _staged(who: Caller, outlook: Outlook, status: int = 200) -> Response:
    return JSONResponse(_shown(who, outlook), status, {"ETag": f'"{outlook.tag}"'})


def _row(found: ChangeSet) -> Json:
    return {
        "changeset": found.number,
        "author": found.author,
        "reason": found.reason,
        "since": found.since,
        "base": found.base,
        "staged": len(found.edits),
    }


def _shown(who: Caller, outlook: Outlook) -> Json:
    """A set as ``who`` may see it."""
    found = outlook.found
    return _row(found) | {
        "etag": outlook.tag,
        "base_etag": outlook.base.digest,
        "running": _revision(outlook.running),
        "moved_on": outlook.base.digest != outlook.running.digest,
        "edits": [
            _place(edit.path) | {"was": edit.was, "value": edit.value}
            for edit in found.edits
            if _sees(who, edit.path)
        ],
        "conflicts": [
            _place(c.path) | {"was": c.was, "mine": c.mine, "theirs": c.theirs, "by": _revision(c.by)}
            for c in outlook.conflicts
            if _sees(who, c.path)
        ],
        "problems": [problem_row(problem) for problem in outlook.problems],
    }


def _place(path: Place) -> Json:
    section, name = path
    return {"section": section, "name": name, "pointer": point(path)}


def _revision(revision: Revision) -> Json:
    return {
        "revision": revision.number,
        "etag": revision.digest,
        "author": revision.author,
        "at": revision.at,
    }


def _sees(who: Caller, path: Place) -> bool:
    section, name = path
    return everywhere(who, Need.READ) or (section == "services" and bool(allowed(who, Need.READ, [name])))


def _their_part(who: Caller, plan: Json) -> Json:
    """A plan without other services: no rows of theirs, and no lines around what changes."""
    if everywhere(who, Need.READ):
        return plan
    mine = allowed(who, Need.READ, [row["service"] for row in plan["impact"]])
    return plan | {
        "impact": [row for row in plan["impact"] if row["service"] in mine],
        "document": _bare(plan["document"]),
        "changes": [change | {"diff": _bare(change["diff"])} for change in plan["changes"]],
    }


def _bare(diff: list[str]) -> list[str]:
    return [line for line in diff if not line.startswith(" ")]
