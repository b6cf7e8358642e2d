"""What each route asks of its caller; a route that says nothing is not served at all.

Rights belong to the route itself and not to its path, so no way of writing a path gets around them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.routing import APIRoute

from willis.model.identity import NOBODY, Caller, Need, Way
from willis.plan.rights import allowed, everywhere, may

_MARK = "x-willis-needs"
_WHOLE = "x-willis-whole"
STILL = "willis.still"
"""In a request's scope: says whether the caller would be let in now too."""
REFUSED = "willis.refused"
"""In a request's scope: why the door did not take what the client sent for a proof."""
REPEATED = "willis.repeated"
"""In a request's scope: it is the same as one before, and was not carried out again."""
REASON = "willis.reason"
"""In a request's scope: why it was made, where the body alone does not say it; for the audit trail."""


class Denied(Exception):
    """The caller may not do this (403), or has to say who they are first (401)."""

    def __init__(self, caller: Caller, need: Need, services: Iterable[str] = (), why: str = "") -> None:
        """``why``: what was wrong with what a stranger sent."""
        where = ", ".join(sorted(services))
        self.status = 401 if caller.way is Way.NOBODY else 403
        said = f"{caller.name} may not {need}" + (f" in {where}" if where else "")
        super().__init__((why or "sign in first, or send a token") if self.status == 401 else said)


def caller(request: Request) -> Caller:
    """Who asks, as the door in front of all routes found out."""
    found = request.scope.get("caller")
    return found if isinstance(found, Caller) else NOBODY


Asking = Annotated[Caller, Depends(caller)]
"""A parameter of a route that has to know who asks."""


def still(request: Request) -> Callable[[], bool]:
    """Says whether the caller would be let in now too."""
    found: Callable[[], bool] = request.scope[STILL]
    return found


Still = Annotated[Callable[[], bool], Depends(still)]
"""A parameter of a route whose answer goes on, and has to end with the session or the token."""


def needs(need: Need, *, whole: bool = False) -> dict[str, Any]:
    """For a route's decorator: ``@app.get(path, **needs(Need.READ))``.

    A path with ``{service}`` asks for it in that service. A route about several services
    asks ``demand`` for each of them, and one about the ``whole`` site asks for it everywhere.
    """

    def check(request: Request) -> None:
        who, service = caller(request), request.path_params.get("service")
        if not may(who, need) or (whole and not everywhere(who, need)):
            raise Denied(who, need, ["the whole site"] if whole else (), request.scope.get(REFUSED, ""))
        if service is not None:
            demand(who, need, [service])

    return {"dependencies": [Depends(check)], "openapi_extra": {_MARK: need.value, _WHOLE: whole}}


def need_of(scope: Mapping[str, Any]) -> Need | None:
    """Of the route that a request was led to; None: to none."""
    mark = (getattr(scope.get("route"), "openapi_extra", None) or {}).get(_MARK)
    return None if mark is None else Need(mark)


def demand(who: Caller, need: Need, services: Iterable[str]) -> None:
    """Raises Denied, naming those of ``services`` in which ``who`` may not."""
    wanted = frozenset(services)
    lacking = wanted - allowed(who, need, wanted)
    if lacking:
        raise Denied(who, need, lacking)


def demand_entries(who: Caller, paths: Iterable[tuple[str, ...]]) -> None:
    """Raises Denied unless ``who`` may change these entries of the document: services, or else anything."""
    changed = list(paths)
    names = [path[1] for path in changed if path[0] == "services" and len(path) > 1]
    if len(names) < len(changed) and not everywhere(who, Need.CONFIGURE):
        raise Denied(who, Need.CONFIGURE, ["the whole site"])
    demand(who, Need.CONFIGURE, names)


def author(who: Caller, claimed: str) -> str:
    """Whom the history names: at the console whom the user said to act for, else whoever proved it."""
    return claimed if who.way is Way.CONSOLE else who.name


def theirs(who: Caller, report: dict[str, Any]) -> dict[str, Any]:
    """A report with only those of its ``services`` that ``who`` may read."""
    may_read = allowed(who, Need.READ, (row["name"] for row in report["services"]))
    return report | {"services": [row for row in report["services"] if row["name"] in may_read]}


def needed(app: FastAPI) -> Iterator[tuple[APIRoute, Need]]:
    """Every route with what it needs. Raises LookupError for one that does not say."""
    for route in app.routes:
        mark = (route.openapi_extra or {}).get(_MARK) if isinstance(route, APIRoute) else None
        if not isinstance(route, APIRoute) or mark is None:
            raise LookupError(f"{route} does not say what it needs of its caller")
        yield route, Need(mark)
