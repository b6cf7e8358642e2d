"""Change sets over the API: gathered edits, two editors, a file meanwhile, and who may do what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.api.test_api import Site, Story, tell
from tests.api.test_contract import exact
from tests.api.test_entries import DOCUMENT, MWL, acts
from tests.api.test_rights import token

__all__ = ["tell"]

ARCHIVE = {"vip": "10.60.0.101", "ports": 104, "forwarding": "dr", "pool": ["vna1"]}


async def begin(ask: Any, **body: object) -> Any:
    return await asked(ask, "POST", "/changesets", 201, **body)


async def asked(
    ask: Any, method: str, route: str, expect: int, etag: str | None = None, **body: object
) -> Any:
    headers = {} if etag is None else {"If-Match": f'"{etag}"'}
    answer = await ask.http.request(
        method, route, json=body or None if method == "DELETE" else body, headers=headers
    )
    assert answer.status_code == expect, answer.text
    return answer.json()


async def stage(ask: Any, found: Any, route: str, value: object, expect: int = 200) -> Any:
    """``value`` None: it goes."""
    path = f"/changesets/{found['changeset']}/{route}"
    if value is None:
        return await asked(ask, "DELETE", path, expect, found["etag"])
    return await asked(ask, "PUT", path, expect, found["etag"], value=value)


async def plan(ask: Any, found: Any, expect: int = 200) -> Any:
    return await asked(ask, "POST", f"/changesets/{found['changeset']}/plan", expect)


async def apply(ask: Any, found: Any, checksum: str, expect: int = 200, **body: object) -> Any:
    route = f"/changesets/{found['changeset']}/apply"
    return await asked(ask, "POST", route, expect, checksum=checksum, **body)


def test_edits_are_gathered_looked_at_and_applied_as_one_change(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        begun = await begin(s, reason="vna3 joins", author="eve")
        assert (begun["base"], begun["staged"], begun["author"]) == (1, 0, "eve")
        found = await stage(s, begun, "services/Mwl", {**MWL, "pool": ["vna1", "vna3"]})
        assert [p["pointer"] for p in found["problems"]] == ["/services/Mwl/pool/1"]
        assert (await plan(s, found, 422))["problems"][0]["pointer"] == "/services/Mwl/pool/1"
        await apply(s, found, "x", 422)
        contract = await s.get("/openapi.json")
        exact(contract, "ChangeSetAnswer", begun)
        exact(contract, "ChangeSetAnswer", found)
        exact(contract, "ChangeSetsAnswer", await s.get("/changesets"))
        found = await stage(s, found, "hosts/vna3", "10.60.0.13")
        assert found["problems"] == []
        assert [(e["section"], e["name"], e["was"]) for e in found["edits"]] == [
            ("services", "Mwl", {**MWL, "pool": ["vna1"]}),
            ("hosts", "vna3", None),
        ]
        planned = await plan(s, found)
        assert (await s.get("/config"))["revision"] == 1
        done = await apply(s, found, planned["checksum"])
        assert (done["revision"], done["changed"]) == (2, True)
        text = (await s.get("/config"))["document"]
        assert "# The archive of all images." in text
        newest = (await s.get("/history"))["revisions"][0]
        assert (newest["reason"], newest["digest"]) == ("vna3 joins", done["digest"])
        assert (await s.get("/changesets"))["changesets"] == []

    tell(story)


def test_what_is_staged_is_in_the_trail_once_and_the_same_apply_again_is_told_so(
    tell: Callable[[Story], None],
) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        before = await acts(s)
        found = await stage(s, await begin(s, reason="more"), "services/Mwl", MWL)
        checksum = (await plan(s, found))["checksum"]
        assert await acts(s) == before + 2
        await apply(s, found, checksum)
        again = await apply(s, found, checksum, 404)
        assert "applied, discarded or never begun" in again["detail"]
        assert await acts(s) == before + 4
        ann = await token(s, "editor", "Archive")
        before = await acts(s)
        found = await begin(ann)
        await stage(ann, found, "services/Mwl", MWL, 403)
        await stage(ann, {**found, "etag": "old"}, "services/Archive", ARCHIVE, 412)
        denied, stale = (await s.get("/audit"))["entries"][-2:]
        assert await acts(s) == before + 3
        assert (denied["who"], denied["action"], denied["result"][:3]) == (
            "token:editor-0",
            "PUT /changesets/2/services/Mwl",
            "403",
        )
        assert (stale["action"], stale["result"][:3]) == ("PUT /changesets/2/services/Archive", "412")

    tell(story)


def test_an_apply_is_in_the_trail_with_the_set_and_its_reason(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        found = await stage(s, await begin(s, reason="more"), "services/Mwl", MWL)
        checksum = (await plan(s, found))["checksum"]
        await apply(s, found, checksum, author="eve")
        await apply(s, found, checksum, 404)
        last = (await s.get("/audit"))["entries"][-2:]
        assert [(e["action"], e["reason"], e["author"], e["result"][:4]) for e in last] == [
            ("POST /changesets/1/apply", "more", "eve", "done"),
            ("POST /changesets/1/apply", "", "", "404:"),
        ]
        assert last[0]["before"] != last[0]["after"] == (await s.get("/config"))["etag"]

    tell(story)


def test_other_entries_that_changed_meanwhile_are_kept(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        found = await stage(s, await begin(s), "services/Mwl", MWL)
        checksum = (await plan(s, found))["checksum"]
        await s.post("/apply", document=DOCUMENT.replace("ports: 104", "ports: 11112"), author="file")
        assert "new plan" in (await apply(s, found, checksum, 409))["detail"]
        now = await s.get("/changesets/1")
        assert (now["moved_on"], now["running"]["author"], now["conflicts"]) == (True, "file", [])
        await apply(s, found, (await plan(s, found))["checksum"])
        services = (await s.get("/services"))["services"]
        assert (services["Archive"]["ports"], services["Mwl"]["pool"]) == (11112, ["vna1", "vna2"])

    tell(story)


def test_the_same_entry_changed_by_both_is_a_conflict_that_names_both_sides(
    tell: Callable[[Story], None],
) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        found = await stage(s, await begin(s), "services/Mwl", MWL)
        checksum = (await plan(s, found))["checksum"]
        await s.post("/apply", document=DOCUMENT.replace("105", "106"), author="ken")
        await s.post("/apply", document=DOCUMENT.replace("105", "106").replace("here", "there"), author="eve")
        for refused in (await plan(s, found, 409), await apply(s, found, checksum, 409)):
            assert refused["type"].endswith("/conflict")
            assert "services.Mwl, by ken in revision 2 since 20" in refused["detail"]
            assert refused["problems"][0]["pointer"] == "/services/Mwl"
        await stage(s, found, "services/Mwl", {**MWL, "ports": 107}, 412)
        found = await s.get("/changesets/1")
        exact(await s.get("/openapi.json"), "ChangeSetAnswer", found)
        (conflict,) = found["conflicts"]
        assert (conflict["was"]["ports"], conflict["mine"]["ports"], conflict["theirs"]["ports"]) == (
            105,
            105,
            106,
        )
        assert (conflict["by"]["author"], found["running"]["author"]) == ("ken", "eve")
        found = await stage(s, found, "services/Mwl", {**MWL, "ports": 106})
        assert found["conflicts"] == []
        await apply(s, found, (await plan(s, found))["checksum"])
        assert (await s.get("/services/Mwl"))["value"] == {**MWL, "ports": 106}
        assert "site: there" in (await s.get("/config"))["document"]

    tell(story)


def test_a_file_applied_before_a_set_is_planned_on_is_not_lost(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        read = (await s.get("/config"))["etag"]
        await s.post("/apply", document=DOCUMENT.replace("105", "106"), author="file")
        refused = await asked(s, "POST", "/changesets", 412, read)
        assert "revision 2 by file runs since" in refused["detail"]
        assert (await asked(s, "POST", "/changesets", 201, (await s.get("/config"))["etag"]))["base"] == 2

    tell(story)


def test_of_two_editors_of_one_set_the_second_looks_again(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        begun = await begin(s)
        assert (await asked(s, "PUT", "/changesets/1/services/Mwl", 428, value=MWL))["status"] == 428
        await stage(s, begun, "services/Mwl", MWL)
        refused = await stage(s, begun, "services/Archive", ARCHIVE, 412)
        assert "change set 1 was changed since it was read" in refused["detail"]
        found = await s.get("/changesets/1")
        checksum = (await plan(s, found))["checksum"]
        await stage(s, found, "services/Archive", ARCHIVE)
        assert "new plan" in (await apply(s, found, checksum, 409))["detail"]

    tell(story)


def test_while_a_change_waits_to_be_confirmed_a_set_is_staged_but_not_applied(
    tell: Callable[[Story], None],
) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        first, second = await begin(s), await begin(s)
        first = await stage(s, first, "services/Mwl", MWL)
        done = await apply(s, first, (await plan(s, first))["checksum"], confirm_s=600, author="eve")
        assert done["confirm_until"] is not None
        second = await stage(s, await s.get("/changesets/2"), "services/Archive", ARCHIVE)
        refused = await apply(s, second, (await plan(s, second))["checksum"], 409)
        assert "by eve waits to be confirmed since 20" in refused["detail"]
        await s.post("/undo")
        assert (await s.get("/changesets/2"))["moved_on"] is False
        await apply(s, second, (await plan(s, second))["checksum"])
        services = (await s.get("/services"))["services"]
        assert (services["Archive"]["pool"], services["Mwl"]["pool"]) == (["vna1"], ["vna1"])

    tell(story)


def test_the_guard_looks_at_sets_too(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        found = await begin(s)
        for name in ("Mwl", "Archive"):
            found = await stage(s, found, f"services/{name}", None)
        checksum = (await plan(s, found))["checksum"]
        assert "removes all 2 services" in (await apply(s, found, checksum, 409))["detail"]
        await apply(s, found, checksum, force=True)
        assert (await s.get("/services"))["services"] == {}

    tell(story)


def test_bad_entries_are_refused_and_what_is_taken_back_is_gone(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        found = await begin(s)
        refused = await stage(s, found, "services/Mwl", {**MWL, "vip": "1.2.3"}, 422)
        assert refused["problems"][0]["pointer"] == "/services/Mwl/vip"
        await stage(s, found, "services/Bad%20name", MWL, 422)
        await stage(s, found, "services/Nothing", None, 404)
        await asked(s, "PUT", "/changesets/1/services/Mwl", 422, found["etag"], value=MWL, confirm_s=60)
        found = await stage(s, found, "services/Mwl", None)
        assert found["edits"][0]["value"] is None
        found = await stage(s, found, "services/Mwl", found["edits"][0]["was"])
        assert (found["staged"], found["edits"]) == (0, [])
        found = await stage(s, found, "services/New", {**MWL, "vip": "10.60.0.103"})
        assert (await stage(s, found, "services/New", None))["edits"] == []
        assert (await asked(s, "DELETE", "/changesets/1", 200)) == {"changeset": 1}
        await s.get("/changesets/1", 404)
        await s.get("/changesets/0", 422)

    tell(story)


def test_long_lists_come_in_pages_and_what_is_known_is_not_sent_again(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await asked(s, "POST", "/changesets", 404)
        await s.post("/apply", document=DOCUMENT)
        for _ in range(3):
            await begin(s)
        first = await s.get("/changesets?limit=2")
        assert [row["changeset"] for row in first["changesets"]] == [1, 2]
        last = await s.get(f"/changesets?limit=2&cursor={first['next_cursor']}")
        assert ([row["changeset"] for row in last["changesets"]], last["next_cursor"]) == ([3], None)
        shown = await s.http.get("/changesets/1")
        again = await s.http.get("/changesets/1", headers={"If-None-Match": shown.headers["etag"]})
        assert again.status_code == 304
        assert shown.headers["etag"] == f'"{shown.json()["etag"]}"'

    tell(story)


def test_only_the_author_and_administrators_change_a_set(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        ann, bob, viewer = await token(s, "editor"), await token(s, "editor"), await token(s, "viewer")
        await asked(viewer, "POST", "/changesets", 403)
        found = await stage(ann, await begin(ann), "services/Mwl", MWL)
        refused = await stage(bob, found, "services/Archive", ARCHIVE, 403)
        assert f"change set 1, which is {found['author']}'s" in refused["detail"]
        for method, route in (("POST", "/plan"), ("DELETE", "")):
            await asked(bob, method, f"/changesets/1{route}", 403)
        await apply(bob, found, "x", 403)
        assert (await viewer.ask("GET", "/changesets/1", 200))["edits"] == found["edits"]
        found = await stage(await token(s, "admin"), found, "services/Archive", ARCHIVE)
        await apply(ann, found, (await plan(ann, found))["checksum"])

    tell(story)


def test_who_edits_some_services_gathers_just_those(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        some, other = await token(s, "editor", "Mwl"), await token(s, "viewer", "Archive")
        found = await stage(some, await begin(some), "services/Mwl", MWL)
        await stage(some, found, "services/Archive", ARCHIVE, 403)
        await stage(some, found, "hosts/vna1", "10.60.0.99", 403)
        assert (await other.ask("GET", "/changesets/1", 200))["edits"] == []
        planned = await plan(some, found)
        assert {row["service"] for row in planned["impact"]} == {"Mwl"}
        assert "Archive" not in str(planned)
        # An administrator adds what its author may not change: now the author cannot apply it.
        more = await stage(s, found, "services/Archive", ARCHIVE)
        assert [e["name"] for e in (await some.ask("GET", "/changesets/1", 200))["edits"]] == ["Mwl"]
        await plan(some, more, 403)
        assert "Archive" in (await apply(some, more, planned["checksum"], 403))["detail"]
        less = await stage(s, more, "services/Archive", more["edits"][1]["was"])
        done = await apply(some, less, planned["checksum"], confirm_s=600)
        assert {row["service"] for row in done["impact"]} == {"Mwl"}
        assert (await s.get("/history"))["revisions"][0]["author"] == found["author"]

    tell(story)


def test_who_edits_some_services_ends_the_trial_of_their_own_change_only(
    tell: Callable[[Story], None],
) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        some, more = await token(s, "editor", "Mwl"), await token(s, "editor", "Mwl")
        for end, runs in (("confirm", 2), ("undo", 2)):
            some.http.headers["If-Match"] = (await some.ask("GET", "/services", 200))["etag"]
            value = {**MWL, "ports": 200 + len(end)}
            await some.ask("PUT", "/services/Mwl", 200, {"value": value, "confirm_s": 600})
            for route in ("/confirm", "/undo"):
                await more.ask("POST", route, 403, {})
            assert (await some.ask("POST", f"/{end}", 200, {}))["revision"] == runs
            last = (await s.get("/audit"))["entries"][-1]
            assert (last["who"], last["action"]) == ("token:editor-0", f"POST /{end}")
            await some.ask("POST", "/undo", 403, {})

    tell(story)


def test_a_trial_that_somebody_is_said_to_have_begun_is_not_theirs_to_end(
    tell: Callable[[Story], None],
) -> None:
    """At the console one may act for others; that gives those others no right in other services."""

    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        some = await token(s, "editor", "Mwl")
        for document in (DOCUMENT.replace("104", "11112"), DOCUMENT.replace("10.60.0.12", "10.60.0.13")):
            await s.post("/apply", document=document, author="token:editor-0", confirm_s=600)
            for route in ("/confirm", "/undo"):
                await some.ask("POST", route, 403, {})
            await s.post("/undo")

    tell(story)
