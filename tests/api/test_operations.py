"""The REST contract of daily work: trials, orders that end, events, checks, the audit trail, metrics."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.api.test_api import DOCUMENT, Site, Story, tell
from willis.model.status import Verdict

__all__ = ["tell"]


def test_metrics_are_what_prometheus_reads(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        s.see(Verdict.UP)
        s.see(Verdict.DEAD, "vna2")
        answer = await s.http.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        found = {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }
        assert found["willis_server_up", "DicomRouting", "vna1"] == 1
        assert found["willis_server_up", "DicomRouting", "vna2"] == 0
        assert found["willis_service_servers_open", "DicomRouting"] == 2
        assert found["willis_server_connections_made_total", "DicomRouting", "vna1"] == 0
        assert found[("willis_revision",)] == 1

    tell(story)


def test_metrics_count_passes_checks_and_applies(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        s.see(Verdict.UP, "vna1")
        families = {f.name: f for f in text_string_to_metric_families((await s.http.get("/metrics")).text)}
        guide = (Path(__file__).parents[2] / "docs" / "guide" / "metrics.md").read_text()
        for name, family in families.items():
            told = f"{name}_total" if family.type == "counter" else name
            assert f"`{told}`" in guide, "every series is in the guide"

        def count(name: str, **labels: str) -> float:
            assert families[name].type == "histogram"
            return sum(
                x.value for x in families[name].samples if x.name == f"{name}_count" and x.labels == labels
            )

        assert count("willis_apply_duration_seconds") == 1
        assert count("willis_engine_pass_duration_seconds", engine="ebpf") >= 1
        assert count("willis_engine_pass_duration_seconds", engine="addresses") >= 1
        assert count("willis_check_duration_seconds", kind="tcp") > 1
        received = families["willis_service_received_bytes"].samples
        assert {(x.labels["service"], x.value) for x in received} >= {("DicomRouting", 0.0)}
        assert not families["willis_service_sent_bytes"].samples, "direct routing"

    tell(story)


def test_every_change_and_every_refusal_is_in_the_audit_trail(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT, author="ann", reason="go live")
        s.see(Verdict.UP)
        await s.post("/plan", document=DOCUMENT)
        await s.post("/drain", where="vna1", for_s=60)
        await s.post("/drain", 409, where="nobody")
        entries = (await s.get("/audit"))["entries"]
        assert [(e["action"], e["about"], e["result"][:4]) for e in entries] == [
            ("POST /apply", "", "done"),
            ("POST /drain", "where vna1, for_s 60", "done"),
            ("POST /drain", "where nobody", "409:"),
        ]
        first = entries[0]
        assert (first["author"], first["reason"], first["before"]) == ("ann", "go live", "")
        assert first["after"] == (await s.get("/history"))["revisions"][0]["digest"]
        assert "there is no host" in entries[2]["result"]
        answer = await s.http.post(
            "/online", json={"where": "vna1"}, headers={"x-request-id": "ris-2026.0042"}
        )
        (entry,) = (await s.get("/audit?last=1"))["entries"]
        assert entry["request_id"] == answer.headers["x-request-id"] == "ris-2026.0042"
        assert (await s.get("/audit/verify"))["ok"]
        assert len((await s.http.get("/audit/export")).text.splitlines()) == 4

    tell(story)


def test_the_audit_trail_holds_no_secret(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        body = {"files": ["c2VjcmV0LWtleQ=="], "passphrase": "correct horse"}
        assert (await s.http.put("/certificates/pacs", json=body)).status_code >= 400
        text = (await s.http.get("/audit/export")).text
        assert "PUT /certificates/pacs" in text
        assert "horse" not in text
        assert "c2VjcmV0" not in text

    tell(story)


def test_a_check_asked_for_now_is_shown_and_changes_no_verdict(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        s.see(Verdict.UP)
        found = await s.post("/check/DicomRouting/vna1")
        assert (found["ok"], found["verdict"], found["log_lines_a_day"]) == (False, "up", 0)
        assert [(c["verdict"], c["decoded"]) for c in found["checks"]] == [
            ("hung", "asked tcp:10.60.0.11:11112 now")
        ]
        await s.post("/check/DicomRouting/nobody", 404)

    tell(story)


def test_the_checks_say_what_they_ask_and_what_came_of_it(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        (row, *_) = (await s.get("/checks"))["checks"]
        assert (row["service"], row["asks"]) == ("DicomRouting", "a TCP handshake, never completed")
        assert (row["servers"][0]["verdict"], row["servers"][0]["last"]) == ("unknown", None)
        s.see(Verdict.UP)
        s.see(Verdict.DEAD, "vna2")
        row = await s.get("/checks/DicomRouting")
        found = {each["host"]: (each["verdict"], each["last"]["ok"]) for each in row["servers"]}
        assert (found["vna1"], found["vna2"]) == (("up", True), ("dead", False))
        assert row["servers"][1]["last"]["decoded"] == "seen dead"
        assert (row["servers"][0]["address"], row["servers"][0]["port"]) == ("10.60.0.11", 11112)
        grant = {"role": "viewer", "services": ["Vitrea*"]}
        token = (await s.post("/tokens", 201, name="ris", grants=[grant]))["token"]
        headers = {"Authorization": f"Bearer {token}"}
        rows = (await s.http.get("/checks", headers=headers)).json()["checks"]
        assert [each["service"] for each in rows] == ["VitreaRead"]
        assert (await s.http.get("/checks/DicomRouting", headers=headers)).status_code == 403
        await s.get("/checks/Nobody", 404)

    tell(story)


def test_events_name_what_fails_and_what_was_ordered(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        s.see(Verdict.UP)
        s.controller.events.look()
        assert not [e for e in (await s.get("/events"))["events"] if e["about"].startswith("vna")]
        await s.post("/drain", where="vna1")
        s.controller.events.look()
        (event,) = [e for e in (await s.get("/events?open=true"))["events"] if e["about"] == "vna1"]
        assert (event["severity"], event["state"]) == ("info", "open")
        s.see(Verdict.DEAD)
        s.controller.events.look()
        found = {e["about"]: e for e in (await s.get("/events?last=50"))["events"]}
        assert found["DicomRouting"]["severity"] == "error"
        await s.get("/events?last=-1", 422)

    tell(story)


def test_what_is_applied_on_trial_is_confirmed_or_undone(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        changed = DOCUMENT.replace("10.60.0.101", "10.60.0.105")
        done = await s.post("/apply", document=changed, confirm_s=60, author="ann")
        assert done["confirm_until"] > time.time() + 50
        trial = (await s.get("/status"))["trial"]
        assert (trial["revision"], trial["base"], trial["author"]) == (2, 1, "ann")
        assert "waits to be confirmed" in (await s.post("/apply", 409, document=DOCUMENT))["detail"]
        assert (await s.post("/undo", author="bob"))["revision"] == 1
        assert [(r["state"], r["note"]) for r in (await s.get("/history"))["revisions"]] == [
            ("former", "undone by bob"),
            ("running", ""),
        ]
        await s.post("/apply", document=changed, confirm_s=60)
        assert (await s.post("/confirm"))["confirm_until"] is None
        await s.post("/confirm", 409)
        assert (await s.post("/undo"))["revision"] == 4
        assert (await s.post("/revisions/3/restore", reason="again"))["revision"] == 5
        assert "+    vip: 10.60.0.105" in (await s.get("/revisions/1/diff/5"))["diff"]
        assert (await s.get("/revisions/3/diff/5"))["diff"] == []
        await s.post("/revisions/99/restore", 404)

    tell(story)


def test_an_order_says_until_when_it_holds(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        s.see(Verdict.UP)
        done = await s.post("/drain", where="vna1", for_s=7200, halt_when_idle=True)
        report = await s.get("/status/DicomRouting")
        (server,) = [row for row in report["services"][0]["servers"] if row["host"] == "vna1"]
        assert server["until"] == done["until"] > time.time() + 7000
        assert server["halt_when_idle"]
        assert "online has no end" in (await s.post("/online", 409, where="vna1", for_s=60))["detail"]
        await s.post("/drain", 422, where="vna1", for_s=0)

    tell(story)
