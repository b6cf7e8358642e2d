"""The running document, entry by entry: two editors, an editor and a file, and what an edit leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.api.test_api import Site, Story, tell

__all__ = ["tell"]

DOCUMENT = """\
version: 1
site: here
interfaces: {eth0: {addresses: [10.60.0.2/24]}}
hosts:
  vna1: 10.60.0.11    # room 1
  vna2: 10.60.0.12
services:
  # The archive of all images.
  Archive: {vip: 10.60.0.101, ports: 104, forwarding: dr, pool: [vna1, vna2]}
  Mwl: {vip: 10.60.0.102, ports: 105, forwarding: dr, pool: [vna1]}
"""
MWL = {"vip": "10.60.0.102", "ports": 105, "forwarding": "dr", "pool": ["vna1", "vna2"]}


async def put(s: Site, route: str, expect: int, etag: str | None, **body: object) -> Any:
    headers = {} if etag is None else {"If-Match": f'"{etag}"'}
    answer = await s.http.put(route, json=body, headers=headers)
    assert answer.status_code == expect, answer.text
    return answer.json()


async def acts(s: Site) -> int:
    return int((await s.get("/audit/verify"))["entries"])


def test_an_edit_leaves_everything_else_as_it_is_written(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        found = await s.get("/services/Mwl")
        assert found["value"]["pool"] == ["vna1"]
        done = await put(s, "/services/Mwl", 200, found["etag"], value=MWL, author="eve", reason="more")
        assert done["changed"]
        text = (await s.get("/config"))["document"]
        assert "# The archive of all images." in text
        assert "# room 1" in text
        assert [h.host for h in s.controller.loop.config.service("Mwl").pool] == ["vna1", "vna2"]
        assert len(s.controller.loop.config.services) == 2
        history = await s.get("/history")
        assert (history["revisions"][0]["author"], history["revisions"][0]["reason"]) == ("eve", "more")

    tell(story)


def test_of_two_editors_the_second_is_told_who_was_faster(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        read = (await s.get("/services"))["etag"]
        await put(s, "/services/Mwl", 200, read, value=MWL, author="eve")
        before = await acts(s)
        refused = await put(s, "/hosts/vna2", 412, read, value="10.60.0.13", author="ken")
        assert "revision 2 by eve runs since" in refused["detail"]
        assert await acts(s) == before + 1
        await put(s, "/hosts/vna2", 200, (await s.get("/hosts"))["etag"], value="10.60.0.13", author="ken")
        assert await acts(s) == before + 2
        assert (await s.get("/services/Mwl"))["value"]["pool"] == ["vna1", "vna2"]

    tell(story)


def test_a_file_that_is_applied_meanwhile_is_not_lost_either(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        read = await s.get("/config")
        await s.post("/apply", document=DOCUMENT.replace("105", "106"), author="file")
        refused = await put(s, "/config", 412, read["etag"], document=DOCUMENT)
        assert "by file" in refused["detail"]
        assert "106" in (await s.get("/config"))["document"]

    tell(story)


def test_without_what_was_read_nothing_is_changed(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        assert (await put(s, "/services/Mwl", 428, None, value=MWL))["type"].endswith("precondition-required")
        assert (await put(s, "/config", 428, None, document=DOCUMENT))["status"] == 428
        assert (await s.http.delete("/hosts/vna2")).status_code == 428

    tell(story)


def test_while_one_change_waits_the_next_is_told_whose(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        read = (await s.get("/services"))["etag"]
        await put(s, "/services/Mwl", 200, read, value=MWL, author="eve", confirm_s=600)
        now = (await s.get("/services"))["etag"]
        refused = await put(s, "/services/Mwl", 409, now, value={**MWL, "ports": 106}, author="ken")
        assert "by eve waits to be confirmed since 20" in refused["detail"]

    tell(story)


def test_what_goes_and_what_does_not(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        match = {"If-Match": (await s.get("/hosts"))["etag"]}
        answer = await s.http.delete("/hosts/vna1", headers=match)
        assert answer.status_code == 422
        assert "vna1" in answer.text
        answer = await s.http.delete(
            "/services/Mwl", params={"reason": "moved", "force": "false", "confirm_s": "600"}, headers=match
        )
        assert answer.status_code == 200
        assert list((await s.get("/services"))["services"]) == ["Archive"]
        await s.get("/services/Mwl", expect=404)
        await s.post("/confirm")
        match = {"If-Match": (await s.get("/hosts"))["etag"]}
        assert (await s.http.delete("/services/Mwl", headers=match)).status_code == 404

    tell(story)


def test_bad_values_name_their_place_and_change_nothing(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        etag = (await s.get("/services"))["etag"]
        refused = await put(s, "/services/Mwl", 422, etag, value={**MWL, "vip": "1.2.3"})
        assert refused["problems"][0]["pointer"] == "/services/Mwl/vip"
        refused = await put(s, "/services/Bad%20name", 422, etag, value=MWL)
        assert "Bad name" in refused["problems"][0]["what"]
        assert (await s.get("/services"))["etag"] == etag

    tell(story)


def test_who_has_it_already_is_not_sent_it_again(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        first = await s.http.get("/config")
        again = await s.http.get("/config", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")

    tell(story)
