"""A request with a key is carried out once, however often it is sent, and whoever's answer got lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.test_api import DOCUMENT, Site, Story, tell
from tests.api.test_problems import told
from willis.api.once import HEADER
from willis.control import once as module
from willis.control.changes import Wish
from willis.control.database import Database, StoreError
from willis.control.once import Kept, NotKept, Once, OutcomeUnknown, Reused, StillRunning, digests
from willis.control.store import Revision

__all__ = ["tell"]

KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"
OTHER = DOCUMENT.replace("10.60.0.101", "10.60.0.105")


async def send(s: Site, route: str, key: str = KEY, token: str = "", **body: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key} | ({"Authorization": f"Bearer {token}"} if token else {})
    return await s.http.post(route, json=body, headers=headers)


async def acts(s: Site) -> list[str]:
    return [entry["action"] for entry in (await s.get("/audit"))["entries"]]


async def token_of(s: Site, role: str, name: str) -> str:
    made = await s.post("/tokens", 201, name=name, grants=[{"role": role}])
    return str(made["token"])


def test_sent_again_it_gets_its_answer_and_nothing_happens(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        first = await send(s, "/apply", document=OTHER, reason="once")
        again = [await send(s, "/apply", key, document=OTHER, reason="once") for key in (KEY, f'"{KEY}"')]
        assert [a.json() for a in again] == [first.json()] * 2
        assert [a.headers.get("idempotent-replayed") for a in (first, *again)] == [None, "true", "true"]
        undone = [await send(s, "/undo", "undo-20261124-0001", author="ann") for _ in range(3)]
        assert [u.json()["revision"] for u in undone] == [3, 3, 3]
        assert [r["revision"] for r in (await s.get("/history"))["revisions"]] == [3, 2, 1]
        assert await acts(s) == ["POST /apply", "POST /apply", "POST /undo"]

    tell(story)


def test_a_key_is_of_one_request_of_one_caller(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        await send(s, "/drain", where="vna1")
        told(await send(s, "/drain", where="vna2"), "key-reused")
        told(await send(s, "/halt", where="vna1"), "key-reused")
        assert (await acts(s))[-2:] == ["POST /drain", "POST /halt"]
        token = await token_of(s, "operator", "ris")
        assert (await send(s, "/drain", where="vna2", token=token)).json()["where"] == "vna2"
        assert (await send(s, "/drain", where="vna1")).headers["idempotent-replayed"] == "true"
        told(await send(s, "/drain", where="vna1", token="willis_wrong"), "not-signed-in")  # noqa: S106

    tell(story)


def test_other_rights_make_another_request(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        token = await token_of(s, "operator", "ris")
        assert (await send(s, "/drain", where="vna1", token=token)).is_success
        await s.delete("/tokens/ris")
        token = await token_of(s, "viewer", "ris")
        told(await send(s, "/drain", where="vna1", token=token), "key-reused")

    tell(story)


def test_a_refusal_did_nothing_so_its_key_is_free(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        await s.post("/apply", document=OTHER, confirm_s=60)
        told(await send(s, "/apply", document=DOCUMENT), "refused")
        await s.post("/confirm")
        assert (await send(s, "/apply", document=DOCUMENT)).is_success
        told(await send(s, "/nowhere", "another-key-00001"), "no-route")
        token = await token_of(s, "viewer", "ris")
        told(await send(s, "/drain", where="vna1", token=token), "denied")

    tell(story)


def test_while_it_runs_it_is_not_begun_again(
    tell: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        entered, go_on = asyncio.Event(), asyncio.Event()
        real = s.controller.apply

        async def slow(document: str, wish: Wish) -> Revision:
            entered.set()
            await go_on.wait()
            return await real(document, wish)

        monkeypatch.setattr(s.controller, "apply", slow)
        first = asyncio.create_task(send(s, "/apply", document=OTHER))
        await entered.wait()
        waiting = await send(s, "/apply", document=OTHER)
        told(waiting, "still-running")
        assert waiting.headers["retry-after"] == "1"
        go_on.set()
        assert (await first).json() == (await send(s, "/apply", document=OTHER)).json()
        assert await acts(s) == ["POST /apply"] * 2

    tell(story)


def test_it_holds_over_a_restart_and_says_what_nobody_knows(tmp_path: Path) -> None:
    async def lives() -> None:
        s = Site(tmp_path)
        await s.post("/apply", document=DOCUMENT)
        answer = await send(s, "/drain", where="vna1")
        cut_short = asyncio.create_task(send(s, "/apply", "cut-short-by-a-crash", document=OTHER))
        while not s.controller.store.database.execute("SELECT 1 FROM once WHERE status IS NULL").fetchone():
            await asyncio.sleep(0)
        cut_short.cancel()
        await asyncio.gather(cut_short, return_exceptions=True)
        await s.http.aclose()
        await s.controller.close()
        s = Site(tmp_path)
        assert (await send(s, "/drain", where="vna1")).json() == answer.json()
        told(await send(s, "/apply", "cut-short-by-a-crash", document=OTHER), "outcome-unknown")
        await s.http.aclose()
        await s.controller.close()

    asyncio.run(lives())


def test_secrets_are_shown_once_and_not_kept(tell: Callable[[Story], None], tmp_path: Path) -> None:
    async def story(s: Site) -> None:
        made = await send(s, "/tokens", name="ris", grants=[{"role": "viewer"}])
        secret = made.json()["token"]
        told(await send(s, "/tokens", name="ris", grants=[{"role": "viewer"}]), "answer-not-kept")
        assert [t["name"] for t in (await s.get("/tokens"))["tokens"]] == ["ris"]
        code = (await send(s, "/setup-code", "setup-code-000001")).json()["code"]
        told(await send(s, "/setup-code", "setup-code-000001"), "answer-not-kept")
        files = [path.read_bytes() for path in tmp_path.glob("willis.db*")]
        assert not any(secret.encode() in f or code.encode() in f or KEY.encode() in f for f in files)
        assert await acts(s) == ["POST /tokens", "POST /setup-code"]

    tell(story)


def test_keys_are_plain_and_only_where_they_mean_something(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        for key in ("", "short", "a b" * 9, "x" * 129, '"', "\u00e4" * 20):
            headers = {b"idempotency-key": key.encode("latin-1")}
            answer = await s.http.post("/apply", json={"document": DOCUMENT}, headers=headers)
            told(answer, "not-understood")
        two = [("idempotency-key", KEY), ("idempotency-key", KEY)]
        told(await s.http.post("/apply", json={"document": DOCUMENT}, headers=two), "not-understood")
        for _ in range(2):
            assert (await send(s, "/validate", document=DOCUMENT)).is_success
            told(await send(s, "/login", name="ann", password="wrong"), "not-signed-in")  # noqa: S106
        paths = (await s.get("/openapi.json"))["paths"]
        described = {path.removeprefix("/api/v1") for path in paths if HEADER in str(paths[path].get("post"))}
        assert {"/apply", "/undo", "/drain", "/tokens"} <= described
        assert not described & {"/validate", "/plan", "/check/{service}/{host}", "/login", "/setup"}

    tell(story)


def test_what_cannot_be_kept_is_not_begun(
    tell: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(s: Site) -> None:
        def full(*_: object) -> None:
            raise StoreError("cannot use willis.db: the disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(Once, "begin", full)
            told(await send(s, "/apply", document=DOCUMENT), "store-failed")
        assert (await s.get("/history"))["revisions"] == []

    tell(story)


def test_a_day_and_so_many_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 3)
    now = 1000.0
    once = Once(Database(tmp_path / "willis.db"), lambda: now)
    asked = [digests("session ann", f"key-{n}", b"drain") for n in range(5)]
    for name, request in asked:
        now += 1
        assert once.begin(name, request) is None
        once.done(name, Kept(200, "application/json", b"{}"), secret=False)
        once.end(name)
    assert [once.begin(*each) for each in asked[2:]] == [Kept(200, "application/json", b"{}")] * 3
    assert once.begin(*asked[0]) is None
    now += 24 * 3600 + 1
    assert once.begin(*asked[4]) is None


def test_every_way_to_end(tmp_path: Path) -> None:
    path = tmp_path / "willis.db"
    once = Once(Database(path))
    name, request = digests("session ann", "key", b"drain")
    assert once.begin(name, request) is None
    with pytest.raises(StillRunning):
        once.begin(name, request)
    with pytest.raises(Reused):
        once.begin(name, digests("session ann", "key", b"halt")[1])
    with pytest.raises(OutcomeUnknown):
        Once(Database(path)).begin(name, request)
    once.done(name, Kept(200, "application/json", b"x" * (module.LONGEST + 1)), secret=False)
    once.end(name)
    with pytest.raises(NotKept):
        once.begin(name, request)
    once.undone(name)
    assert once.begin(name, request) is None
