"""Who may come in, and how far: signing in, sessions, tokens and scopes, as a client sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pyotp
import pytest

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


def test_what_is_followed_ends_with_the_session(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        ann = await admin(s)
        for _ in range(3):
            await s.delete("/tokens/none", 404)
        entries = s.controller.audit.export

        def export() -> Iterator[dict[str, object]]:
            found = list(entries())
            assert len(found) == 4
            yield found[0]
            s.controller.identity.sessions.end_all("ann")
            yield from found[1:]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(s.controller.audit, "export", export)
            answer = await ann.http.get("/audit/export")
        assert answer.status_code == 200
        assert len(answer.text.splitlines()) == 1

    tell(story)


def test_the_own_account(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        ann = await admin(s)
        begun = await ann.ask("POST", "/me/second-factor", 200, {"password": PASSWORD})
        await ann.ask("POST", "/me/second-factor", 401, {"password": "wrong"})
        code = pyotp.TOTP(begun["secret"]).now()
        codes = await ann.ask("POST", "/me/second-factor/confirm", 200, {"code": code})
        assert len(codes["recovery_codes"]) == 10
        assert (await ann.ask("GET", "/me", 200))["second_factor"]
        who = {"name": "ann", "password": PASSWORD}
        answer = await Web(s).ask("POST", "/login", 401, who)
        assert answer["type"].endswith("/second-factor")
        await Web(s).ask("POST", "/login", 401, who | {"code": code})
        opened = await Web(s).ask("POST", "/login", 200, who | {"code": codes["recovery_codes"][0]})
        sessions = (await ann.ask("GET", "/me/sessions", 200))["sessions"]
        assert [(x["name"], x["how"], x["source"]) for x in sessions] == [("ann", "local", "192.0.2.7")] * 2
        other = Web(s, f"Willis-Session {opened['session']}")
        await ann.ask("DELETE", f"/me/sessions/{sessions[0]['session']}", 200)
        await other.ask("GET", "/me", 401)
        await ann.ask("DELETE", f"/me/sessions/{sessions[0]['session']}", 404)
        await ann.ask("POST", "/me/second-factor/remove", 200, {"password": PASSWORD})
        await ann.ask("GET", "/me", 401)
        opened = await Web(s).ask("POST", "/login", 200, who)
        ann = Web(s, f"Willis-Session {opened['session']}")
        await ann.ask("POST", "/me/password", 409, {"old": PASSWORD, "new": "short"})
        await ann.ask("POST", "/me/password", 200, {"old": PASSWORD, "new": "other four words"})
        await ann.ask("GET", "/me", 401)
        await Web(s).ask("POST", "/login", 200, who | {"password": "other four words"})

    tell(story)


def test_no_answer_holds_what_was_sent_in_secret(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        ann = await admin(s)
        secret = "correct horse battery"
        for method, route, body in (
            ("POST", "/login", {"name": "x" * 99, "password": secret}),
            ("POST", "/login", {"password": secret}),
            ("POST", "/setup", {"code": secret, "name": 1, "password": [secret]}),
            ("PUT", "/users/bob", {"password": {"a": secret}, "grants": []}),
            ("POST", "/me/password", {"old": secret, "new": secret, "more": secret}),
        ):
            answer = await ann.http.request(method, route, json=body)
            assert answer.status_code == 422, answer.text
            assert secret not in answer.text
        text = (await s.http.get("/audit/export")).text
        assert secret not in text
        assert PASSWORD not in text
        assert "argon2" not in (await s.http.get("/users")).text

    tell(story)


def test_administrators_keep_users_tokens_and_sessions(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        ann = await admin(s)
        grants = [{"role": "operator", "services": ["Dicom*"]}]
        await ann.ask("PUT", "/users/bob", 409, {"grants": grants})
        await ann.ask("PUT", "/users/bob", 200, {"grants": grants, "password": PASSWORD})
        assert [u["name"] for u in (await ann.ask("GET", "/users", 200))["users"]] == ["ann", "bob"]
        assert (await ann.ask("GET", "/users/bob", 200))["grants"] == grants
        for wrong in (
            [],
            [{"role": "king"}],
            [{"role": "admin", "services": ["a/b"]}],
            [{"role": "viewer", "services": []}],
        ):
            await ann.ask("PUT", "/users/bob", 422, {"grants": wrong})
        opened = await Web(s).ask("POST", "/login", 200, {"name": "bob", "password": PASSWORD})
        bob = Web(s, f"Willis-Session {opened['session']}")
        await bob.ask("GET", "/users", 403)
        await bob.ask("POST", "/setup-code", 403)
        rows = (await ann.ask("GET", "/user-sessions", 200))["sessions"]
        (of_bob,) = [row for row in rows if row["name"] == "bob"]
        await ann.ask("DELETE", f"/user-sessions/{of_bob['session']}", 200)
        await bob.ask("GET", "/me", 401)
        await ann.ask("DELETE", "/users/ann", 409)
        made = await ann.ask("POST", "/tokens", 201, {"name": "prom", "grants": grants, "lasts_s": 3600})
        await ann.ask("POST", "/tokens", 409, {"name": "prom", "grants": grants})
        assert "token" not in (await ann.ask("GET", "/tokens", 200))["tokens"][0]
        program = Web(s, f"Bearer {made['token']}")
        me = await program.ask("GET", "/me", 200)
        assert (me["name"], me["way"], me["grants"]) == ("token:prom", "token", grants)
        await program.ask("GET", "/me/sessions", 409)
        assert (await ann.ask("GET", "/tokens/prom", 200))["used"]
        await ann.ask("DELETE", "/tokens/prom", 200)
        await program.ask("GET", "/me", 401)
        await ann.ask("DELETE", "/users/bob", 200)
        assert (await ann.ask("DELETE", "/user-sessions", 200))["ended"] == 1
        await ann.ask("GET", "/me", 401)

    tell(story)


def test_half_a_character_is_refused_wherever_secrets_come_in(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        half = b'"\\ud800 and more than twelve"'
        for method, route, body in (
            ("POST", "/login", b'{"name": "ann", "password": %s}'),
            ("POST", "/login", b'{"name": "ann", "password": "x", "code": %s}'),
            ("PUT", "/users/ann", b'{"grants": [{"role": "admin"}], "password": %s}'),
            ("POST", "/backup", b'{"passphrase": %s}'),
            ("PUT", "/secrets/x", b'{"value": %s}'),
            ("PUT", "/certificates/x", b'{"files": ["YQ=="], "passphrase": %s}'),
        ):
            headers = {"Content-Type": "application/json"}
            answer = await s.http.request(method, route, content=body % half, headers=headers)
            assert (answer.status_code, "half a character" in answer.text) == (422, True), answer.text

    tell(story)
