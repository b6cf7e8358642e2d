"""Failures as answers (RFC 9457): one of a few kinds, the reason in words, and every problem at once.

A kind's ``type`` is the path of a route that tells what it means. Control says which kind a
refusal is; only this module knows its HTTP status.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from willis.api.needs import Denied, needs
from willis.config import Problem
from willis.config.problem import point
from willis.control.changes import Refused, Unknown
from willis.control.database import StoreError
from willis.model.identity import Need

Json = dict[str, Any]

MEDIA_TYPE = "application/problem+json"
ROUTE = "/api/v1/problems"
_MOST = 100
"""Problems of a body that are told at once."""
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Kind:
    """What an answer may fail for."""

    status: int
    title: str
    meaning: str
    """What it means and what helps, as sentences."""


KINDS: Mapping[str, Kind] = {
    "answer-not-kept": Kind(
        409,
        "answer not kept",
        "The same request was carried out before, with this Idempotency-Key. Its answer held a secret or was "
        "long, and is not kept.",
    ),
    "conflict": Kind(
        409,
        "conflict",
        "A change set changes entries that others changed meanwhile; `problems` says who and since when. "
        "The change set shows both sides: stage each as it shall be.",
    ),
    "denied": Kind(403, "denied", "The caller is known and may not do this. An administrator can grant it."),
    "failed": Kind(
        500, "failed", "A fault of Willis itself. The engine's log names it by the answer's request id."
    ),
    "invalid-document": Kind(
        422,
        "invalid document",
        "The document has errors; `problems` lists them all, and nothing was changed.",
    ),
    "key-reused": Kind(
        422, "key reused", "The Idempotency-Key came with another request before. Take a new one for each."
    ),
    "method-not-allowed": Kind(
        405, "method not allowed", "The route does not take this method; `Allow` lists those it takes."
    ),
    "no-route": Kind(404, "no such route", "The API has no such path; /api/v1/openapi.json lists all."),
    "not-signed-in": Kind(
        401, "not signed in", "Nobody, or nobody in time, was proved by what came. Sign in, or send a token."
    ),
    "not-understood": Kind(
        422,
        "not understood",
        "The body or a parameter does not have the form of the contract; `problems` lists every place.",
    ),
    "outcome-unknown": Kind(
        409,
        "outcome unknown",
        "The engine stopped or failed while it carried this request out. The audit trail says more.",
    ),
    "precondition-required": Kind(
        428,
        "precondition required",
        "A change of this needs If-Match with the ETag that was read (RFC 6585).",
    ),
    "refused": Kind(
        409, "refused", "What was asked is not possible as things are now; `detail` says why and what to do."
    ),
    "second-factor": Kind(401, "second factor", "Name and password are right, and a code is missing."),
    "slowed": Kind(429, "slowed", "Too many tries failed. Try again after `Retry-After` seconds."),
    "stale": Kind(
        412, "stale", "Somebody changed it since it was read. Read it again and repeat the change on that."
    ),
    "still-running": Kind(
        409,
        "still running",
        "The same request is being carried out. Send it again after `Retry-After` seconds.",
    ),
    "store-failed": Kind(
        507, "the store failed", "The node could not write; `detail` names the file. Mostly the disk is full."
    ),
    "too-large": Kind(413, "too large", "The body has more bytes than such a caller may send."),
    "unknown": Kind(404, "unknown", "What the path or the body names does not exist."),
}


def answer(
    request: Request,
    kind: str,
    detail: str,
    *,
    problems: Sequence[Json] = (),
    headers: Mapping[str, str] = {},
) -> Response:
    """The answer of a failed request."""
    found = KINDS[kind]
    body: Json = {"type": f"{ROUTE}/{kind}", "title": found.title, "status": found.status, "detail": detail}
    if problems:
        body["problems"] = list(problems)
    body["request_id"] = request.scope.get("request_id", "")
    # Escaped, since what a client sent may hold half a character.
    return Response(json.dumps(body), found.status, dict(headers), MEDIA_TYPE)


def routes(app: FastAPI) -> None:
    """What each kind means."""

    @app.get(ROUTE, **needs(Need.NOTHING))
    async def kinds() -> Json:
        """All kinds of problems that an answer may have as its ``type``."""
        return {"problems": [_kind_row(name) for name in KINDS]}

    @app.get(f"{ROUTE}/{{name}}", **needs(Need.NOTHING))
    async def kind(name: str) -> Json:
        """What one kind of problem means."""
        if name not in KINDS:
            raise Unknown(f"there is no such kind of problem; {ROUTE} lists all")
        return _kind_row(name)


def handlers(app: FastAPI) -> None:
    """Make every failure such an answer."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(Denied, _denied)
    app.add_exception_handler(StoreError, _store_failed)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _failed)


def problem_row(problem: Problem) -> Json:
    return {
        "path": problem.path,
        "pointer": problem.pointer,
        "line": problem.line,
        "severity": problem.severity.value,
        "what": problem.what,
        "remedy": problem.remedy,
    }


def _kind_row(name: str) -> Json:
    kind = KINDS[name]
    return {
        "type": f"{ROUTE}/{name}",
        "title": kind.title,
        "status": kind.status,
        "meaning": kind.meaning,
    }


def _refused(request: Request, error: Exception) -> Response:
    kind = error.kind if isinstance(error, Refused) else "refused"
    problems = [problem_row(p) for p in error.problems] if isinstance(error, Refused) else []
    return answer(request, kind, str(error), problems=problems)


def _denied(request: Request, error: Exception) -> Response:
    if isinstance(error, Denied) and error.status == 401:
        return answer(request, "not-signed-in", str(error), headers={"WWW-Authenticate": "Bearer"})
    return answer(request, "denied", str(error))


def _store_failed(request: Request, error: Exception) -> Response:
    return answer(request, "store-failed", str(error))


def _not_understood(request: Request, error: Exception) -> Response:
    """What is wrong with a body, without repeating it: it may hold a key or a passphrase."""
    faults = error.errors()[:_MOST] if isinstance(error, RequestValidationError) else []
    problems = [_fault_row(fault) for fault in faults]
    detail = "; ".join(f"{row['path']}: {row['what']}" for row in problems)
    return answer(request, "not-understood", detail, problems=problems)


def _fault_row(fault: Mapping[str, Any]) -> Json:
    """A fault of a body or a parameter in the shape of a document's problem; there are no lines."""
    where, *steps = fault["loc"]
    if fault["type"] == "json_invalid":
        steps = []
    path: tuple[str | int, ...] = tuple(s if isinstance(s, int) else str(s)[:_LONGEST] for s in steps)
    return {
        "path": ".".join(map(str, (where, *path))),
        "pointer": point(path) if where == "body" else None,
        "line": 0,
        "severity": "error",
        "what": fault["msg"],
        "remedy": "Send what /api/v1/openapi.json describes for this route.",
    }


def _http(request: Request, error: Exception) -> Response:
    """What the framework refuses before a route sees it."""
    if not isinstance(error, HTTPException):
        return _failed(request, error)
    kind = {404: "no-route", 405: "method-not-allowed"}.get(error.status_code, "not-understood")
    what = f"{request.method} {request.url.path[:_LONGEST]}"
    detail = {"no-route": "there is no such route", "method-not-allowed": "the route does not take it"}
    return answer(request, kind, f"{what}: {detail.get(kind, error.detail)}", headers=error.headers or {})


def _failed(request: Request, _: Exception) -> Response:
    """The framework logs the fault itself, after this answer."""
    return answer(request, "failed", "the engine failed at this; its log says at what")
