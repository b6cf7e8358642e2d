"""Every route has a command: whatever the API can do, the command line can."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

from tests.api.test_api import Site, Story, tell
from willis import cli

__all__ = ["tell"]

WIDE = {"/drain", "/halt", "/online"}
"""Asked for by the order's own word."""
OF_BROWSERS = {"/setup", "/login/oidc"}
"""Who has a console needs no one-time code: ``willis user add`` makes the first administrator there. And an
OpenID provider asks the person in a browser; no password of it passes through us."""
OF_NO_ENGINE = {"/validate"}
"""``willis validate`` needs none."""


def asked() -> set[str]:
    """The routes that commands name, with ``{}`` for what they fill in."""
    found = set()
    for path in Path(str(cli.__file__)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values]
                found.add("".join(parts))
    return {text.partition("?")[0] for text in found if text.startswith("/")}


def test_every_route_has_a_command(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        commands = [re.escape(route).replace(r"\{\}", "[^/]+") for route in asked() - {"/{}"} | WIDE]
        routes = [path.removeprefix("/api/v1") for path in (await s.get("/openapi.json"))["paths"]]
        lacking = [route for route in routes if not any(re.fullmatch(c, route) for c in commands)]
        assert set(lacking) == OF_BROWSERS | OF_NO_ENGINE

    tell(story)
