"""The API's contract: OpenAPI 3.1 made from the routes, and from the shapes that scripts rely on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from willis import __version__
from willis.api.answers import ANSWERS, FailureBody
from willis.api.answers_changesets import CHANGESETS
from willis.api.commands import COMMANDS
from willis.api.needs import needed, needs
from willis.api.once import HEADER, PATTERN, takes_key
from willis.api.problems import KINDS, MEDIA_TYPE, ROUTE
from willis.model.identity import Need

Json = dict[str, Any]

_SCHEMA = "#/components/schemas/{model}"
_ABOUT = f"""Plans, applies and watches a site of load-balanced imaging services. Every failure is a problem
(RFC 9457) whose `type` names one of the kinds at {ROUTE}. Every answer carries `X-Request-Id`.
Each operation's `x-willis-needs` is what it needs of its caller (`x-willis-whole`: in the whole site), and
`x-willis-command` what follows `willis` on a command line that does the same."""
_SECURITY = {
    "token": {"type": "http", "scheme": "bearer", "description": "An API token: `Bearer willis_…`"},
    "session": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "A session that signing in began: `Willis-Session …`",
    },
}
_KEY = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": f"^{PATTERN}$"},
    "description": "Of your choice, new for each thing to do: a request sent again with its key is "
    "answered as before, and not carried out again",
}


def routes(app: FastAPI) -> None:
    """Add the contract's own."""

    @app.get("/api/v1/openapi.json", **needs(Need.NOTHING))
    async def openapi() -> Json:
        """This contract, as OpenAPI 3.1."""
        return contract(app)


def contract(app: FastAPI) -> Json:
    """The whole document."""
    if app.openapi_schema is None:
        app.openapi_schema = _described(app)
    return app.openapi_schema


def _described(app: FastAPI) -> Json:
    found = get_openapi(title="Willis", version=__version__, description=_ABOUT, routes=app.routes)
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    _add(schemas, "Failure", FailureBody)
    components["securitySchemes"] = _SECURITY
    for route, need in needed(app):
        for method in route.methods or ():
            operation = found["paths"][route.path_format][method.lower()]
            if (command := COMMANDS.get(f"{method} {route.path_format.removeprefix('/api/v1')}")) is not None:
                operation["x-willis-command"] = command
            if takes_key(method, route.path_format) and need is not Need.NOTHING:
                operation.setdefault("parameters", []).append(_KEY)
            operation["security"] = [] if need is Need.NOTHING else [{name: []} for name in _SECURITY]
            operation["responses"] = _responses(operation, method, need)
            if (answer := (ANSWERS | CHANGESETS).get((method, route.path_format))) is not None:
                good = str(route.status_code or 200)
                content = operation["responses"][good]["content"]
                content["application/json"]["schema"] = _add(schemas, answer.__name__, answer)
    return found


def _responses(operation: Json, method: str, need: Need) -> Json:
    """Those of the route, and the problems that it may end with."""
    statuses = {KINDS["slowed"].status} if need is Need.NOTHING else {401, 403}
    takes_something = "parameters" in operation or "requestBody" in operation
    if any(p["in"] == "path" for p in operation.get("parameters", ())):
        statuses.add(404)
    if any(p["name"].lower() == "if-match" for p in operation.get("parameters", ())):
        statuses |= {KINDS["stale"].status, KINDS["precondition-required"].status}
    statuses |= {422} if takes_something else set()
    statuses |= {409} if method != "GET" else set()
    good = {code: answer for code, answer in operation["responses"].items() if code != "422"}
    failed = {str(status): _failure(_titles(status)) for status in sorted(statuses)}
    return good | failed | {"default": _failure("Any other problem")}


def _titles(status: int) -> str:
    return " or ".join(kind.title for kind in KINDS.values() if kind.status == status)


def _failure(description: str) -> Json:
    schema = {"$ref": _SCHEMA.format(model="Failure")}
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}


def _add(schemas: Json, name: str, shape: Any) -> Mapping[str, str]:  # noqa: ANN401 - any type that pydantic knows
    """Add the JSON Schema of ``shape`` and of all that it refers to."""
    made = TypeAdapter(shape).json_schema(ref_template=_SCHEMA)
    schemas |= made.pop("$defs", {})
    schemas[name] = made
    return {"$ref": _SCHEMA.format(model=name)}
