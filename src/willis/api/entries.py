"""The routes of the running document and of its services and hosts, entry by entry.

Whoever changes something says what they had read: ``If-Match`` with the ETag of the document
(RFC 9110, 13.1.1). Without it nothing is changed (428), nor if somebody was faster (412). Of
the text only the entry is exchanged: an edit cannot take away what it does not mention.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, Header, Query, Request
from fastapi.responses import Response
from pydantic import ConfigDict

from willis.api.documents import applied, wish
from willis.api.needs import Asking, needs
from willis.api.pages import tagged
from willis.api.types import ApplyBody, ValueBody, WishBody
from willis.config.edit import Missing, Unedited, entries, put, remove
from willis.control.changes import Invalid, Refused, Unknown
from willis.control.controller import Controller
from willis.control.store import Revision
from willis.model.identity import Caller, Need
from willis.plan.rights import allowed

Json = dict[str, Any]
IfMatch = Annotated[str | None, Header(max_length=200, description="The ETag of the document that was read")]
_SERVICES, _HOSTS = "services", "hosts"


class NoPrecondition(Refused):
    """A change did not say what it was made from."""

    kind = "precondition-required"

    def __init__(self) -> None:
        super().__init__("read it first, and send its ETag as If-Match: so no change of others is lost")


class EntryBody(WishBody, ValueBody):
    """A service or a host as it shall be."""


class RemovalQuery(WishBody):
    """The conditions of a removal, which has no body. In a query every value is text."""

    model_config = ConfigDict(extra="forbid", strict=False)


def routes(app: FastAPI, controller: Controller) -> None:
    """Add them to ``app``."""

    @app.get("/api/v1/config", **needs(Need.READ, whole=True))
    async def config(request: Request) -> Response:
        """The running document and its ETag."""
        running = _running(controller)
        content = {"revision": running.number, "etag": running.digest, "document": running.document}
        return tagged(request, content, running.digest)

    @app.put("/api/v1/config", **needs(Need.CONFIGURE, whole=True))
    async def replace(body: ApplyBody, who: Asking, if_match: IfMatch = None) -> Json:
        """Make a document the running one, unless somebody changed it since it was read."""
        return await _apply(controller, body, who, if_match, lambda _: body.document)

    _listed(app, controller)
    _services(app, controller)
    _hosts(app, controller)


def _listed(app: FastAPI, controller: Controller) -> None:
    @app.get("/api/v1/services", **needs(Need.READ))
    async def services(request: Request, who: Asking) -> Response:
        """The services of the running document, by name."""
        found = _section(controller, _SERVICES)
        mine = allowed(who, Need.READ, found)
        return _shown(request, controller, {_SERVICES: {name: found[name] for name in found if name in mine}})

    @app.get("/api/v1/hosts", **needs(Need.READ, whole=True))
    async def hosts(request: Request) -> Response:
        """The hosts of the running document, by name."""
        return _shown(request, controller, {_HOSTS: _section(controller, _HOSTS)})


def _services(app: FastAPI, controller: Controller) -> None:
    @app.get("/api/v1/services/{service}", **needs(Need.READ))
    async def show(request: Request, service: str) -> Response:
        """One service as the document has it."""
        return _shown(request, controller, _entry(controller, _SERVICES, service))

    @app.put("/api/v1/services/{service}", **needs(Need.CONFIGURE))
    async def change(service: str, body: EntryBody, who: Asking, if_match: IfMatch = None) -> Json:
        """Add or exchange a service; all others stay as they are written."""
        return await _put(controller, (_SERVICES, service), body, who, if_match)

    @app.delete("/api/v1/services/{service}", **needs(Need.CONFIGURE))
    async def drop(
        service: str, who: Asking, query: Annotated[RemovalQuery, Query()], if_match: IfMatch = None
    ) -> Json:
        """Take a service out of the document."""
        return await _remove(controller, (_SERVICES, service), query, who, if_match)


def _hosts(app: FastAPI, controller: Controller) -> None:
    @app.get("/api/v1/hosts/{host}", **needs(Need.READ, whole=True))
    async def show(request: Request, host: str) -> Response:
        """One host as the document has it."""
        return _shown(request, controller, _entry(controller, _HOSTS, host))

    @app.put("/api/v1/hosts/{host}", **needs(Need.CONFIGURE, whole=True))
    async def change(host: str, body: EntryBody, who: Asking, if_match: IfMatch = None) -> Json:
        """Add or exchange a host; all others stay as they are written."""
        return await _put(controller, (_HOSTS, host), body, who, if_match)

    @app.delete("/api/v1/hosts/{host}", **needs(Need.CONFIGURE, whole=True))
    async def drop(
        host: str, who: Asking, query: Annotated[RemovalQuery, Query()], if_match: IfMatch = None
    ) -> Json:
        """Take a host out of the document; refused while a service has it."""
        return await _remove(controller, (_HOSTS, host), query, who, if_match)


async def _put(
    controller: Controller, path: tuple[str, str], body: EntryBody, who: Caller, if_match: str | None
) -> Json:
    return await _apply(controller, body, who, if_match, lambda text: put(text, path, body.value))


async def _remove(
    controller: Controller, path: tuple[str, str], body: WishBody, who: Caller, if_match: str | None
) -> Json:
    return await _apply(controller, body, who, if_match, lambda text: remove(text, path))


async def _apply(
    controller: Controller, body: WishBody, who: Caller, if_match: str | None, edit: Callable[[str], str]
) -> Json:
    """Apply the running document as ``edit`` makes it, if it is still the one that was read."""
    base = matched(if_match)
    running = _running(controller)
    try:
        document = edit(running.document)
    except Missing as error:
        raise Unknown(f"{error}; see 'willis status'") from error
    except Unedited as error:
        raise Invalid(error.problems) from error
    done = await controller.apply(document, wish(body, who, base))
    return applied(done, controller, running.digest, who)


def matched(if_match: str | None) -> str:
    """The tag that a client sent. Raises NoPrecondition."""
    if if_match is None:
        raise NoPrecondition
    return if_match.strip().removeprefix("W/").strip('"')


def _running(controller: Controller) -> Revision:
    running = controller.store.running()
    if running is None:
        raise Unknown("there is no document yet; 'willis apply' one")
    return running


def _section(controller: Controller, name: str) -> Json:
    found = entries(_running(controller).document).get(name)
    return found if isinstance(found, dict) else {}


def _entry(controller: Controller, section: str, name: str) -> Json:
    found = _section(controller, section)
    if name not in found:
        raise Unknown(f"there is no {name} among the {section}; see 'willis status'")
    return {"name": name, "value": found[name]}


def _shown(request: Request, controller: Controller, content: Json) -> Response:
    digest = _running(controller).digest
    return tagged(request, {"etag": digest, **content}, digest)
