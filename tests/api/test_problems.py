"""Every failure is a problem (RFC 9457): of a known kind, with reason, places and the request's id."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx

from tests.api.test_api import DOCUMENT, Site, Story, tell
from willis.api.problems import KINDS

__all__ = ["tell"]

JSON = {"content-type": "application/json"}


def told(answer: httpx.Response, kind: str) -> dict[str, object]:
    """The problem of an answer that must be of this kind."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, object] = answer.json()
    assert problem["type"] == f"/api/v1/problems/{kind}"
    assert problem["status"] == answer.status_code == KINDS[kind].status
    assert problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem


def test_every_failure_is_of_a_kind(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        http = s.http
        told(await http.get("/nowhere"), "no-route")
        told(await http.get("/status/"), "no-route")
        refused = await http.put("/status", json={})
        told(refused, "method-not-allowed")
        assert refused.headers["allow"] == "GET"
        told(await http.get("/status/Nobody"), "unknown")
        told(await http.post("/confirm", json={}), "refused")
        told(await http.post("/apply", content=b'{"document": \xff}'), "not-understood")
        headers = {"authorization": "Bearer willis_wrong"}
        told(await http.get("/status", headers=headers), "not-signed-in")

    tell(story)


def test_a_document_has_all_its_faults_with_pointers(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        broken = DOCUMENT.replace("11112", "0").replace("8237", "99999")
        problem = told(await s.http.post("/apply", json={"document": broken}), "invalid-document")
        rows = problem["problems"]
        assert isinstance(rows, list)
        assert [row["pointer"] for row in rows if row["severity"] == "error"] == [
            f"/services/{name}/ports" for name in ("DicomRouting", "DicomInternal", "VitreaRead")
        ]

    tell(story)


def test_a_body_has_all_its_faults_with_pointers_and_is_not_repeated(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        body = {"document": 7, "confirm_s": "S3cret", "x/y~z": 1}
        problem = told(await s.http.post("/apply", json=body), "not-understood")
        rows = problem["problems"]
        assert isinstance(rows, list)
        assert {row["pointer"] for row in rows} == {"/document", "/confirm_s", "/x~1y~0z"}
        assert "S3cret" not in str(problem)
        half = json.dumps({"document": "\ud800"})
        told(await s.http.post("/apply", content=half, headers=JSON), "not-understood")
        [row] = told(await s.http.get("/events?last=-1"), "not-understood")["problems"]  # type: ignore[misc]
        assert (row["path"], row["pointer"]) == ("query.last", None)

    tell(story)


def test_a_request_keeps_its_own_name_if_it_is_a_plain_one(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        for sent, kept in (("ris-2026.0042", True), ("short", False), ("a b" * 5, False), ("x" * 129, False)):
            answer = await s.http.get("/status", headers={"x-request-id": sent})
            assert (answer.headers["x-request-id"] == sent) is kept
            assert len(answer.headers["x-request-id"]) >= 8

    tell(story)


def test_each_kind_tells_what_it_means(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        for row in (await s.get("/problems"))["problems"]:
            one = (await s.http.get(row["type"].removeprefix("/api/v1"))).json()
            assert one == row
            assert one["meaning"]
        told(await s.http.get("/problems/nothing"), "unknown")

    tell(story)
