"""The REST contract of graphs: columns, rights, and what is refused."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.api.test_api import DOCUMENT, Site, Story, tell
from tests.api.test_rights import token
from willis.control.gains import Reading
from willis.control.history import History
from willis.engines.port import Traffic
from willis.model.status import Verdict

__all__ = ["tell"]


def measured(site: Site, seconds: int = 90) -> None:
    """So many seconds until now pass in no time; vna1 of DicomRouting gets ten connections a second."""
    history: History = site.controller.history
    keeper = site.controller.loop.keepers[0]
    began = time.time() - seconds
    for second in range(seconds + 1):
        counted = {("DicomRouting", "vna1"): Traffic(3, second * 10, second * 1000)}
        keeper.reading = Reading(float(second), counted)
        history.recorder.tick(began + second, float(second))


def test_a_graph_is_columns_of_the_finest_steps_that_reach_so_far(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        s.see(Verdict.UP)
        measured(s)
        found = await s.get("/graphs/DicomRouting?span=60")
        assert (found["service"], found["host"], found["step_s"]) == ("DicomRouting", None, 1)
        assert time.time() - 62 < found["begin"] < time.time() - 58
        connections = found["metrics"]["connections"]
        assert connections["unit"] == "per second"
        assert len(connections["avg"]) == len(connections["min"]) == len(connections["max"]) == 60
        assert {value for value in connections["avg"] if value is not None} == {10.0}
        assert connections["avg"].count(None) <= 5, "but for the time that this test takes"
        assert {v for v in found["metrics"]["servers_open"]["avg"] if v is not None} == {3.0}
        assert set(found["metrics"]["requests"]["avg"]) == {None}
        only = await s.get("/graphs/DicomRouting?span=60&metric=active")
        assert list(only["metrics"]) == ["active"]
        server = await s.get("/graphs/DicomRouting?span=60&host=vna1")
        assert server["step_s"] == 10
        assert {v for v in server["metrics"]["bytes_in"]["max"] if v is not None} == {1000.0}
        idle = await s.get("/graphs/DicomRouting?span=60&host=vna2")
        assert set(idle["metrics"]["connections"]["avg"]) == {None}
        assert [(await s.get(f"/graphs/DicomRouting?span={span}"))["step_s"] for span in (601, 10801)] == [
            10,
            60,
        ]
        assert (await s.get("/graphs/DicomRouting?span=5184000"))["step_s"] == 900
        assert (await s.get("/graphs/DicomRouting?span=600&step=60"))["step_s"] == 60
        assert (await s.get("/graphs/DicomRouting?span=86400&step=1"))["step_s"] == 60, "no more than 6,000"

    tell(story)


def test_top_tells_the_last_seconds_of_the_same(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        measured(s, 10)
        found = {row["name"]: row for row in (await s.get("/top"))["services"]}
        assert found["DicomRouting"]["per_second"] == {
            "connections": 10.0,
            "bytes_in": 1000,
            "bytes_out": None,
        }
        assert found["DicomRouting"]["active"] == 3
        assert found["VitreaRead"]["per_second"]["connections"] == 0

    tell(story)


def test_what_there_is_no_graph_of_is_refused(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        assert "no history of" in (await s.get("/graphs/Nothing", 404))["detail"]
        assert "host 'nobody'" in (await s.get("/graphs/DicomRouting?host=nobody", 404))["detail"]
        await s.get("/graphs/DicomRouting?step=7", 422)
        await s.get("/graphs/DicomRouting?metric=patients", 422)
        await s.get("/graphs/DicomRouting?span=59", 422)

    tell(story)


def test_who_has_some_services_sees_the_graphs_of_those(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        some = await token(s, "viewer", "Dicom*")
        await some.ask("GET", "/graphs/DicomRouting?host=vna1", 200)
        await some.ask("GET", "/graphs/VitreaRead", 403)
        await some.ask("GET", "/graphs/Gone", 403)

    tell(story)
