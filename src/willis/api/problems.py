"""Failures as answers (RFC 9457): the reason in words, and every problem of a document."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from willis.api.needs import Denied
from willis.config import Problem
from willis.control.changes import Invalid, Refused
from willis.control.database import StoreError

Json = dict[str, Any]


def handlers(app: FastAPI) -> None:
    """Add them to ``app``."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(Denied, _denied)
    app.add_exception_handler(StoreError, _store_failed)
    app.add_exception_handler(RequestValidationError, _not_understood)


def problem_row(problem: Problem) -> Json:
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
        body["problems"] = [problem_row(p) for p in error.problems]
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


def _denied(_: Request, error: Exception) -> JSONResponse:
    status = error.status if isinstance(error, Denied) else 403
    body = {"title": "denied", "status": status, "detail": str(error)}
    return JSONResponse(body, status_code=status, media_type="application/problem+json")
