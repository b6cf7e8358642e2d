"""Who may come in, and how far: signing in, sessions, tokens and scopes, as a client sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from tests.api.test_api import Site, Story, tell

__all__ = ["tell"]

PASSWORD = "four words make one"


class Web:
    """Clients that come by the web process."""

    def __init__(self, site: Site, credential: str = "", source: str = "192.0.2.7") -> None:
        headers = {"Willis-Client": source}
        if credential:
            headers["Authorization"] = credential
        transport = site.http._transport
        self.http = httpx.AsyncClient(transport=transport, base_url="http://web/api/v1", headers=headers)

    async def ask(self, method: str, route: str, expect: int, body: Any = None) -> Any:
        answer = await self.http.request(method, route, json=body)
        assert answer.status_code == expect, answer.text
        return answer.json()


async def admin(site: Site) -> Web:
    """The first administrator, signed in."""
    code = site.controller.identity.new_setup_code()
    body = {"code": code, "name": "ann", "password": PASSWORD}
    opened = await Web(site).ask("POST", "/setup", 201, body)
    return Web(site, f"Willis-Session {opened['session']}")


def test_a_stranger_gets_no_further_than_the_door(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        answer = await Web(s).ask("GET", "/status", 401)
        assert "sign in" in answer["detail"]
        assert (await Web(s).ask("GET", "/setup", 200))["needed"]
        for wrong in ("Basic YTpi", "Bearer willis_x", "Willis-Session x", "Bearer", "Willis-Session "):
            await Web(s, wrong).ask("GET", "/me", 401)
            answer = await s.http.get("/me", headers={"Authorization": wrong})
            assert answer.status_code == 401, wrong

    tell(story)


def test_the_first_administrator_proves_to_own_the_node(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await Web(s).ask("POST", "/setup", 401, {"code": "x", "name": "ann", "password": PASSWORD})
        ann = await admin(s)
        me = await ann.ask("GET", "/me", 200)
        assert (me["name"], me["way"]) == ("ann", "session")
        assert me["grants"] == [{"role": "admin", "services": ["*"]}]
        assert not (await Web(s).ask("GET", "/setup", 200))["needed"]
        await Web(s).ask("POST", "/setup", 409, {"code": "x", "name": "bob", "password": PASSWORD})

    tell(story)


def test_a_session_lasts_from_login_to_logout(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await admin(s)
        await Web(s).ask("POST", "/login", 401, {"name": "ann", "password": "wrong"})
        opened = await Web(s).ask("POST", "/login", 200, {"name": "ann", "password": PASSWORD})
        assert (opened["name"], opened["idle_s"], opened["absolute_s"]) == ("ann", 1800, 43200)
        ann = Web(s, f"Willis-Session {opened['session']}")
        await ann.ask("GET", "/status", 200)
        await ann.ask("POST", "/logout", 200)
        assert "ended" in (await ann.ask("GET", "/status", 401))["detail"]

    tell(story)


def test_nobody_speaks_for_another_by_a_header(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        for header in ("X-Forwarded-User", "X-Remote-User", "Forwarded", "X-Forwarded-For", "X-Original-URL"):
            answer = await Web(s).http.get("/status", headers={header: "root"})
            assert answer.status_code == 401
        twice = [("Authorization", "Bearer willis_x"), ("Authorization", "Bearer willis_y")]
        answer = await Web(s).http.get("/status", headers=httpx.Headers(twice))
        assert "more than one" in answer.json()["detail"]

    tell(story)
