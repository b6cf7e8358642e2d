"""Every role at every route, and what a caller with some services sees of the others."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fastapi import FastAPI

from tests.api.test_api import DOCUMENT, Site, Story, tell
from tests.api.test_identity import Web, admin
from willis.api.needs import needed
from willis.model.identity import Need, Role
from willis.model.status import Verdict

__all__ = ["tell"]

_MAY = {
    Role.VIEWER: {"read"},
    Role.OPERATOR: {"read", "operate"},
    Role.EDITOR: {"read", "operate", "configure"},
    Role.AUDITOR: {"read", "audit"},
    Role.ADMIN: {"read", "operate", "configure", "audit", "administer"},
}
"""Written down a second time on purpose."""

_GOES_ON = re.compile(r"/(follow|stream)\Z")
"""Answers without an end: asked with a method that they refuse after the door."""


def routes(site: Site) -> list[tuple[str, str, Need]]:
    """Each (method, path, need), with something in the place of each parameter."""
    app = site.http._transport.app  # type: ignore[attr-defined]
    return [
        (method, re.sub(r"\{[^}]+\}", "1", route.path).removeprefix("/api/v1"), need)
        for route, need in needed(app)
        for method in sorted(route.methods)
        if not _GOES_ON.search(route.path)
    ]


async def token(site: Site, role: str, *services: str, **more: Any) -> Web:
    """A program with one role."""
    grants = [{"role": role, "services": list(services) or ["*"]}]
    name = f"{role}-{len(site.controller.identity.tokens.all())}"
    made = await site.post("/tokens", 201, name=name, grants=grants, **more)
    return Web(site, f"Bearer {made['token']}")


async def nothing() -> dict[str, Any]:
    return {}


def test_each_role_gets_exactly_as_far_as_it_may(
    tell: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        monkeypatch.setattr(s.controller.doctor, "report", nothing)  # takes two seconds
        known = routes(s)
        assert len(known) > 60
        for role in Role:
            program = await token(s, role)
            for method, path, need in known:
                answer = await program.http.request(method, path, content=b"{}")
                through = need in (Need.NOTHING, Need.SELF) or need.value in _MAY[role]
                if need is not Need.NOTHING:
                    assert (answer.status_code not in (401, 403)) == through, (
                        role,
                        method,
                        path,
                        answer.text,
                    )

    tell(story)


def test_a_stranger_gets_to_no_route_but_signing_in(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        for method, path, need in routes(s):
            answer = await Web(s).http.request(method, path, content=b"{}")
            if need is not Need.NOTHING:
                assert answer.status_code == 401, (method, path)

    tell(story)


TRICKS = (
    "/status/..;/audit",
    "/status/../audit",
    "//audit",
    "/audit/",
    "/audit;x=1",
    "/./audit",
    "/AUDIT",
    "/%61udit",
    "/audit%2f",
    "/audit%00",
    "/status/%2e%2e/audit",
    "/status%2f..%2faudit",
    "/audit?x=/status",
    "/audit%3b",
)


@pytest.mark.parametrize("path", TRICKS)
def test_no_way_of_writing_a_path_gets_around_a_role(tell: Callable[[Story], None], path: str) -> None:
    async def story(s: Site) -> None:
        viewer = await token(s, "viewer")
        for headers in ({}, {"X-Original-URL": "/api/v1/status"}, {"X-HTTP-Method-Override": "GET"}):
            url = viewer.http.base_url.copy_with(raw_path=f"/api/v1{path}".encode())
            answer = await viewer.http.get(url, headers=headers)
            assert answer.status_code in (307, 403, 404), answer.text
            assert "entries" not in answer.text

    tell(story)


def test_an_override_of_the_method_is_not_heard(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        viewer = await token(s, "viewer")
        for header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
            answer = await viewer.http.get("/status?_method=DELETE", headers={header: "DELETE"})
            assert answer.status_code == 200

    tell(story)


def test_who_has_some_services_sees_and_operates_those(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        s.see(Verdict.UP)
        some = await token(s, "operator", "Dicom*")
        names = {row["name"] for row in (await some.ask("GET", "/status", 200))["services"]}
        everything = {row["name"] for row in (await s.get("/status"))["services"]}
        assert names == {name for name in everything if name.startswith("Dicom")} != everything
        assert {row["name"] for row in (await some.ask("GET", "/top", 200))["services"]} == names
        (other,) = everything - names
        for route in (f"/status/{other}", f"/explain/{other}/web1", f"/logs/{other}", f"/sessions/{other}"):
            await some.ask("GET", route, 403)
        await some.ask("GET", "/explain/DicomRouting/vna1", 200)
        await some.ask("POST", "/drain", 200, {"where": "DicomRouting/vna1"})
        await some.ask("GET", "/metrics", 403)
        await some.ask("GET", "/doctor", 403)

    tell(story)


def test_a_host_is_drained_only_by_who_operates_all_its_services(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        s.see(Verdict.UP)
        one = await token(s, "operator", "DicomRouting")
        denied = await one.ask("POST", "/drain", 403, {"where": "vna1"})
        assert "DicomInternal" in denied["detail"]
        every = await token(s, "operator", "Dicom*", "Vitrea*")
        await every.ask("POST", "/drain", 200, {"where": "vna1"})

    tell(story)


def test_events_of_other_services_are_not_told(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        s.see(Verdict.DEAD)
        s.controller.events.look()
        every = {e["about"] for e in (await s.get("/events"))["events"]}
        some = await token(s, "viewer", "DicomRouting")
        seen = {e["about"] for e in (await some.ask("GET", "/events", 200))["events"]}
        assert "DicomRouting" in seen
        assert "DicomInternal" in every - seen
        assert not seen & {"ebpf", "addresses"}

    tell(story)


def test_a_token_of_the_wrong_scope_is_one_entry_in_the_trail(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        viewer = await token(s, "viewer")
        await viewer.ask("GET", "/status", 200)
        await viewer.ask("POST", "/drain", 403, {"where": "vna1"})
        await viewer.ask("GET", "/audit", 403)
        last = (await s.get("/audit"))["entries"][-2:]
        assert [(e["who"], e["source"], e["action"], e["result"][:3]) for e in last] == [
            ("token:viewer-0", "192.0.2.7", "POST /drain", "403"),
            ("token:viewer-0", "192.0.2.7", "GET /audit", "403"),
        ]

    tell(story)


def test_failed_sign_ins_are_in_the_trail(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await admin(s)
        await Web(s).ask("POST", "/login", 401, {"name": "ann\x1b[2J", "password": "wrong"})
        await Web(s, "Willis-Session gone").ask("GET", "/users", 401)
        await Web(s).ask("GET", "/users", 401)
        found = (await s.get("/audit"))["entries"]
        assert [(e["who"], e["source"], e["action"], e["about"], e["result"][:4]) for e in found] == [
            ("ann", "192.0.2.7", "POST /setup", "name ann", "done"),
            ("nobody", "192.0.2.7", "POST /login", "name ann\N{REPLACEMENT CHARACTER}[2J", "401:"),
            ("nobody", "192.0.2.7", "GET /users", "", "401:"),
        ]

    tell(story)


def test_strangers_cannot_fill_the_trail(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        for _ in range(60):
            await Web(s).ask("POST", "/drain", 401, {"where": "vna1"})
        assert len((await s.get("/audit?last=1000"))["entries"]) == 30

    tell(story)


def test_an_application_with_a_route_that_says_nothing_is_not_built() -> None:
    with pytest.raises(LookupError, match="openapi"):
        list(needed(FastAPI()))
    silent = FastAPI(openapi_url=None)
    silent.get("/api/v1/x")(nothing)
    with pytest.raises(LookupError, match="/api/v1/x"):
        list(needed(silent))


def test_strangers_bring_little_and_nobody_brings_too_much(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        async def parts(count: int) -> AsyncIterator[bytes]:
            for _ in range(count):
                yield b" " * 1024

        for content in (b" " * 20_000, parts(20)):
            answer = await Web(s).http.post("/login", content=content)
            assert (answer.status_code, answer.json()["type"]) == (413, "/api/v1/problems/too-large")
        assert (await Web(s).http.post("/login", content=parts(16))).status_code == 422
        assert (await s.http.post("/apply", content=parts(16 * 1024 + 1))).status_code == 413
        assert (await s.http.post("/apply", content=parts(16 * 1024))).status_code == 422

    tell(story)


def test_the_history_names_who_came_and_not_whom_they_claim_to_be(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        editor = await token(s, "editor")
        await editor.ask("POST", "/apply", 200, {"document": DOCUMENT, "author": "somebody else"})
        assert (await s.get("/history"))["revisions"][0]["author"] == "token:editor-0"
        assert (await s.get("/audit"))["entries"][-1]["author"] == ""

    tell(story)


def test_who_edits_some_services_changes_and_reads_no_whole_document(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        await s.post("/apply", document=DOCUMENT.replace("10.60.0.101", "10.60.0.105"), confirm_s=60)
        some = await token(s, "editor", "Dicom*")
        await some.ask("POST", "/apply", 403, {"document": DOCUMENT})
        for route in ("/confirm", "/undo", "/revisions/1/restore"):
            await some.ask("POST", route, 403, {})
        await some.ask("GET", "/revisions/1", 403)
        await some.ask("GET", "/revisions/1/diff/2", 403)
        assert (await s.get("/status"))["trial"]["revision"] == 2

    tell(story)


def test_who_edits_some_services_edits_just_those(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        some = await token(s, "editor", "Dicom*")
        read = await some.ask("GET", "/services", 200)
        assert set(read["services"]) == {"DicomRouting", "DicomInternal"}
        entry = {"value": {**read["services"]["DicomRouting"], "scheduler": "sh"}}
        some.http.headers["If-Match"] = read["etag"]
        await some.ask("PUT", "/services/DicomRouting", 200, entry)
        some.http.headers["If-Match"] = (await some.ask("GET", "/services", 200))["etag"]
        await some.ask("PUT", "/services/Other", 403, entry)
        await some.ask("PUT", "/hosts/vna1", 403, {"value": "10.60.0.99"})
        (other,) = {each.name for each in s.controller.loop.config.services} - set(read["services"])
        await some.ask("DELETE", f"/services/{other}", 403)
        assert (await s.get("/history"))["revisions"][0]["author"] == "token:editor-0"

    tell(story)
