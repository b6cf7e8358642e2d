"""The page of the manual on the routes, made from the contract. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from willis.model.identity import Caller, Grant, Need, Role, Way
from willis.plan.rights import may

Json = dict[str, Any]

_HEAD = """# Routes of the API

*Made from the contract by `python -m tests.api.test_reference`; how to use them: [the API](../guide/api.md).*

Paths begin with `/api/v1`. What a route takes and gives in detail is in the contract: `willis api schema`.
Each may also answer 401 and 403 to whoever may not, 422 to what it does not understand, and 429 to too many
wrong tries; every failure is a problem of a known kind (`willis api problems`). A `POST` marked ¹ takes an
`Idempotency-Key`.

| a route that needs | is for |
|---|---|
"""
_TABLE = """
*whole site*: a role for some services is not enough. A route with `{service}` needs the role in that service.

| route | needs | `willis …` | what it does | answers |
|---|---|---|---|---|
"""
_COMMON = frozenset({"401", "403", "422", "429", "default"})


def reference(contract: Json) -> str:
    """The whole page, as Markdown."""
    rows = sorted(_rows(contract["paths"]))
    return _HEAD + "".join(_roles()) + _TABLE + "".join(line for _, line in rows)


def _roles() -> Iterator[str]:
    for need in Need:
        roles = [role for role in Role if may(Caller("", Way.TOKEN, (Grant(role),)), need)]
        who = ", ".join(roles)
        if need is Need.NOTHING:
            who = "everybody, strangers too"
        elif need is Need.SELF:
            who = "whoever has signed in or sends a token"
        yield f"| {need} | {who} |\n"


def _rows(paths: Json) -> Iterator[tuple[tuple[str, str], str]]:
    for path, operations in paths.items():
        for method, operation in operations.items():
            route = path.removeprefix("/api/v1")
            mark = "¹" if any(p["name"] == "Idempotency-Key" for p in operation.get("parameters", ())) else ""
            needs = operation["x-willis-needs"] + (", whole site" if operation["x-willis-whole"] else "")
            command = operation.get("x-willis-command", "")
            cells = (
                f"`{method.upper()} {route}`{mark}",
                needs,
                f"`{command}`" if command else "–",
                _plain(operation["description"]),
                _answers(operation["responses"]),
            )
            yield (route, method), f"| {' | '.join(cells)} |\n"


def _plain(description: str) -> str:
    """Its first paragraph, in one line of a table."""
    said = " ".join(description.partition("\n\n")[0].split())
    return said.replace("``", "`").replace("|", "\\|")


def _answers(responses: Json) -> str:
    found = [code for code in responses if code not in _COMMON]
    return ", ".join(f"{code}{_shape(responses[code])}" for code in sorted(found))


def _shape(response: Json) -> str:
    """The name of what an answer holds, where it has one."""
    for media, content in response.get("content", {}).items():
        name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
        if media == "application/problem+json":
            return ""
        if name:
            return f" `{name}`"
        if media != "application/json":
            return f" {media}"
    return ""
