"""The REST contract, over engines that only remember."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders import ETH0, dr, site, web
from willis.api.app import build
from willis.certificates.store import CertificateStore
from willis.config import write
from willis.control.controller import Controller, OnResult
from willis.control.gains import Reading
from willis.control.store import Store
from willis.engines.addresses.compile import compile_vips
from willis.engines.ebpf.compile import compile_l4
from willis.engines.memory import MemoryEngine
from willis.engines.port import Client, EngineError, Traffic
from willis.model.check import Check, Target
from willis.model.config import Config
from willis.model.service import Address
from willis.model.status import Verdict
from willis.plan.diff import Artefacts
from willis.plan.members import targets
from willis.plan.verdict import Result

DOCUMENT = write(site(dr(), dr("DicomInternal", 102), web()))


class Picky(MemoryEngine):
    """Refuses a VIP, as a real binary might."""

    def check(self, want: Artefacts) -> None:
        if "vip/10.60.0.120" in want:
            raise EngineError("10.60.0.120 is taken by somebody else")


class Tying(MemoryEngine):
    """Ties two clients of DicomRouting."""

    ties = ("198.51.100.7", "198.51.100.8")

    def clients(self, service: str) -> list[Client]:
        mine = self.ties if service == "DicomRouting" else ()
        return [Client(ip_network(address), "vna1", 12.34) for address in mine]

    def forget(self, service: str, client: Address | None = None) -> int:
        kept = tuple(t for t in self.ties if client is not None and t != str(client))
        ended, self.ties = len(self.ties) - len(kept), kept
        return ended

    asked = 0

    def longest(self) -> dict[tuple[str, str], float]:
        self.asked += 1
        return {("DicomRouting", "vna1"): 62.0, ("DicomInternal", "vna1"): 3725.0}

    def alarms(self) -> tuple[str, ...]:
        return ("the flow table is 83 % full",)


class Eyes:
    """See only what a test shows them."""

    def __init__(self, tell: OnResult) -> None:
        self.tell = tell

    def set(self, targets: Mapping[Target, Check]) -> None:
        pass

    async def look(self, target: Target, check: Check) -> Result:
        return Result(time.time(), Verdict.HUNG, f"asked {target} now")

    def close(self) -> None:
        pass


class Site:
    """A controller behind its API."""

    def __init__(self, path: Path) -> None:
        engines = [Tying("ebpf", compile_l4), Picky("addresses", compile_vips)]
        self.eyes: Eyes
        self.controller = Controller(
            "lb1", Store(path / "willis.db"), engines, CertificateStore(path), self._open_eyes
        )
        transport = httpx.ASGITransport(build(self.controller, path))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://engine/api/v1")

    def _open_eyes(self, tell: OnResult) -> Eyes:
        self.eyes = Eyes(tell)
        return self.eyes

    async def get(self, route: str, expect: int = 200) -> Any:
        answer = await self.http.get(route)
        assert answer.status_code == expect, answer.text
        return answer.json()

    async def post(self, route: str, expect: int = 200, **body: object) -> Any:
        answer = await self.http.post(route, json=body)
        assert answer.status_code == expect, answer.text
        return answer.json()

    async def delete(self, route: str, expect: int = 200) -> Any:
        answer = await self.http.delete(route)
        assert answer.status_code == expect, answer.text
        return answer.json()

    def see(self, verdict: Verdict, *hosts: str) -> None:
        """Have every target (of these hosts) looked at with this outcome."""
        config = self.controller.loop.config
        names = {h.address: h.name for h in config.hosts}
        for target in targets(config):
            if not hosts or names[target.address] in hosts:
                for _ in range(2):
                    self.eyes.tell(target, Result(time.time(), verdict, f"seen {verdict}"))
        self.controller.learn_news()


@asynccontextmanager
async def _site(path: Path) -> AsyncIterator[Site]:
    found = Site(path)
    try:
        yield found
    finally:
        await found.http.aclose()
        await found.controller.close()


Story = Callable[[Site], Awaitable[None]]


@pytest.fixture
def tell(tmp_path: Path) -> Callable[[Story], None]:
    """Run a story with a fresh controller that has no loop of its own."""

    def run(story: Story) -> None:
        async def play() -> None:
            async with _site(tmp_path) as found:
                await story(found)

        asyncio.run(play())

    return run


def test_a_document_is_applied_and_reported(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        assert (await s.get("/status"))["revision"] is None
        assert (await s.post("/apply", document=DOCUMENT, author="ann", reason="go"))["revision"] == 1
        s.see(Verdict.UP)
        status = await s.get("/status")
        assert status["revision"] == 1
        assert {r["name"]: r["state"] for r in status["services"]} == {
            "DicomRouting": "up",
            "DicomInternal": "up",
            "VitreaRead": "up",
        }
        one = await s.get("/status/VitreaRead")
        assert [server["host"] for server in one["services"][0]["servers"]] == ["vna1", "vna2", "vna3"]
        assert (await s.post("/apply", document=DOCUMENT))["revision"] == 1, (
            "the same again is no new revision"
        )
        revisions = (await s.get("/history"))["revisions"]
        assert [(r["author"], r["reason"], r["state"]) for r in revisions] == [("ann", "go", "running")]
        assert (await s.get("/revisions/1"))["document"] == DOCUMENT

    tell(story)


def test_a_plan_changes_nothing_and_only_the_plan_of_that_name_is_applied(
    tell: Callable[[Story], None],
) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        changed = DOCUMENT.replace("10.60.0.101", "10.60.0.105")
        plan = await s.post("/plan", document=changed)
        assert {i["service"]: i["effect"] for i in plan["impact"]}["DicomRouting"] == "drops"
        assert {
            "engine": "addresses",
            "key": "vip/10.60.0.105",
            "action": "create",
            "how": "at run time",
        } in [{key: value for key, value in change.items() if key != "diff"} for change in plan["changes"]]
        assert "-    vip: 10.60.0.101" in plan["document"]
        assert "+    vip: 10.60.0.105" in plan["document"]
        assert (await s.get("/status"))["revision"] == 1
        refusal = await s.post("/apply", 409, document=changed, checksum="another")
        assert "new plan" in refusal["detail"]
        assert (await s.post("/apply", document=changed, checksum=plan["checksum"]))["revision"] == 2

    tell(story)


def test_plan_and_apply_say_how_many_sessions_a_change_drops_and_the_plan_stays_the_same_as_they_come_and_go(
    tell: Callable[[Story], None],
) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        changed = DOCUMENT.replace("10.60.0.101", "10.60.0.105")
        carried = s.controller.loop.keepers[0]
        carried.reading = Reading(
            0.0, {("DicomRouting", "vna1"): Traffic(3), ("DicomRouting", "gone"): Traffic(1)}
        )
        plan = await s.post("/plan", document=changed)
        found = {i["service"]: i for i in plan["impact"]}
        assert found["DicomRouting"] == {
            "service": "DicomRouting",
            "effect": "drops",
            "sessions": 4,
            "drops": 4,
            "why": "10.60.0.101 leaves eth0",
        }
        assert found["VitreaRead"]["effect"] == "none"
        carried.reading = Reading(0.0, {("DicomRouting", "vna1"): Traffic(2)})
        done = await s.post("/apply", document=changed, checksum=plan["checksum"], confirm_s=60)
        assert {i["service"]: i["drops"] for i in done["impact"]}["DicomRouting"] == 2
        carried.reading = Reading(0.0, {("DicomRouting", "vna1"): Traffic(1)})
        back = await s.post("/undo")
        assert {i["service"]: i["drops"] for i in back["impact"]}["DicomRouting"] == 1
        assert all(i["effect"] == "none" for i in (await s.post("/apply", document=DOCUMENT))["impact"])

    tell(story)


def test_a_broken_document_names_every_problem_and_changes_nothing(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        broken = DOCUMENT.replace("11112", "0").replace("8237", "99999")
        for route in ("/plan", "/apply"):
            problems = (await s.post(route, 422, document=broken))["problems"]
            assert len([p for p in problems if p["severity"] == "error"]) == 3
            assert all(p["path"] and p["line"] and p["what"] and p["remedy"] for p in problems)
        assert (await s.post("/validate", document=broken))["ok"] is False
        assert (await s.get("/status"))["revision"] == 1

    tell(story)


def test_what_an_engine_refuses_leaves_the_last_good_revision(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        taken = DOCUMENT.replace("10.60.0.101", "10.60.0.120")
        assert "taken by somebody else" in (await s.post("/apply", 409, document=taken))["detail"]
        assert (await s.get("/status"))["revision"] == 1

    tell(story)


def test_the_guard_refuses_unless_forced(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        empty = write(Config("test", (ETH0,)))
        refusal = await s.post("/apply", 409, document=empty)
        assert "removes all 3 services" in refusal["detail"]
        assert (await s.post("/apply", document=empty, force=True))["revision"] == 2

    tell(story)


def test_how_long_the_oldest_connection_has_lasted_is_asked_when_somebody_asks(
    tell: Callable[[Story], None],
) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        s.see(Verdict.UP)
        engine = s.controller.loop.keepers[0].engine
        assert isinstance(engine, Tying)
        await s.get("/status")
        assert engine.asked == 0
        report = await s.get("/status/DicomRouting")
        lasting = [row["sessions"]["longest_s"] for row in report["services"][0]["servers"]]
        assert lasting == [62.0, None, None]
        assert (await s.post("/drain", where="vna1"))["sessions"] == {"active": 0, "longest_s": 3725.0}
        one = await s.post("/drain", where="DicomRouting/vna1")
        assert one["sessions"] == {"active": 0, "longest_s": 62.0}
        assert (await s.post("/drain", where="vna2"))["sessions"] == {"active": 0, "longest_s": None}
        assert (await s.post("/online", where="vna1"))["sessions"] is None
        assert engine.asked == 1, "an answer is fresh for a while"

    tell(story)


def test_a_host_is_drained_in_both_layers_unless_a_service_is_left_without_servers(
    tell: Callable[[Story], None],
) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        s.see(Verdict.UP)
        done = await s.post("/drain", where="vna1")
        assert done["services"] == ["DicomRouting", "DicomInternal", "VitreaRead"]
        s.see(Verdict.DEAD, "vna2")
        refusal = await s.post("/halt", 409, where="vna3")
        assert "vna3 is the last server" in refusal["detail"]
        assert (await s.post("/halt", where="vna3", force=True))["without_servers"] == done["services"]
        await s.post("/online", where="vna3")
        admins = {r["host"]: r["admin"] for r in (await s.get("/status"))["services"][0]["servers"]}
        assert admins == {"vna1": "drain", "vna2": "online", "vna3": "online"}

    tell(story)


def test_a_dead_server_is_explained(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        s.see(Verdict.UP)
        s.see(Verdict.DEAD, "vna2")
        found = await s.get("/explain/VitreaRead/vna2")
        assert found["verdict"] == "dead"
        assert found["sentence"] == "vna2 in VitreaRead is dead: seen dead."
        assert found["advice"]
        assert {c["ok"] for c in found["checks"]} == {True, False}
        assert "its pool: vna1" in (await s.get("/explain/VitreaRead/vna9", 404))["detail"]

    tell(story)


def test_tied_clients_are_listed_and_forgotten(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        found = (await s.get("/sessions/DicomRouting"))["clients"]
        assert found[0] == {"client": "198.51.100.7", "host": "vna1", "seconds_left": 12.3}
        assert "cookie" in (await s.get("/sessions/VitreaRead", 409))["detail"]
        assert (await s.delete("/sessions/DicomRouting?client=198.51.100.7"))["forgotten"] == 1
        assert [c["client"] for c in (await s.get("/sessions/DicomRouting"))["clients"]] == ["198.51.100.8"]
        await s.delete("/sessions/DicomRouting?client=nobody", 422)
        assert (await s.delete("/sessions/DicomRouting"))["forgotten"] == 1

    tell(story)


def test_alarms_of_the_engines_stand_in_the_status(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        alarms = {e["name"]: e["alarms"] for e in (await s.get("/status"))["engines"]}
        assert alarms == {"ebpf": ["the flow table is 83 % full"], "addresses": []}

    tell(story)


def test_states_and_verdicts_survive_a_restart_and_strangers_are_forgotten(tmp_path: Path) -> None:
    async def first() -> None:
        async with _site(tmp_path) as s:
            await s.post("/apply", document=DOCUMENT)
            s.see(Verdict.UP)
            await s.post("/drain", where="vna1")
            await s.post("/drain", where="DicomInternal/vna2")

    async def second() -> None:
        async with _site(tmp_path) as s:
            row = (await s.get("/status/DicomInternal"))["services"][0]
            assert [(r["admin"], r["verdict"]) for r in row["servers"]] == [
                ("drain", "up"),
                ("drain", "up"),
                ("online", "up"),
            ]
            await s.post("/apply", document=write(site(dr(), web())))
            assert [str(place) for place in s.controller.store.admin()] == ["vna1"]

    asyncio.run(first())
    asyncio.run(second())


@pytest.mark.parametrize("body", [{}, {"document": 1}, {"document": "x", "extra": 1}, {"where": "vna1"}])
def test_a_body_of_the_wrong_shape_is_refused(tell: Callable[[Story], None], body: dict[str, object]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", 422, **body)

    tell(story)
