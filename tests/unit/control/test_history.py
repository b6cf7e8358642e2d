"""What is measured and kept: rates, resets, gaps, restarts, clocks that jump, disks that fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import isnan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import dr, seen, site
from willis.control import history_store
from willis.control.changes import Unknown
from willis.control.frames import METRICS, Band, Frame, Key
from willis.control.gains import Reading
from willis.control.history import Graph, History
from willis.control.history_store import HistoryStore
from willis.control.loop import Loop
from willis.control.recorder import Recorder
from willis.engines.memory import MemoryEngine
from willis.engines.port import Traffic
from willis.model.config import Config
from willis.model.status import Verdict
from willis.plan.members import targets
from willis.plan.verdict import Result

SERVICE: Key = ("DicomRouting", "")
VNA1: Key = ("DicomRouting", "vna1")
T0 = 1_800_000_000
"""A full hour."""


class Node:
    """One engine whose counters a test sets, and both clocks."""

    def __init__(self, path: Path, config: Config | None = None, engines: int = 1) -> None:
        config = config or site(dr())
        kept = [MemoryEngine(f"engine{i}", lambda *_: {}) for i in range(engines)]
        self.loop = Loop(kept, config, seen(config))
        self.counts: dict[Key, tuple[int, int]] = {}
        self.wall, self.steady = float(T0), 1000.0
        recorder = Recorder(self.loop, lambda: self.counts)
        self.history = History(recorder, path, lambda: self.wall, lambda: self.steady)

    def count(self, total: int, *, host: str = "vna1", engine: int = 0, **more: Any) -> None:
        """What an engine counted for a host of DicomRouting as of now."""
        keeper = self.loop.keepers[engine]
        traffic = {**keeper.traffic, ("DicomRouting", host): Traffic(total=total, **more)}
        keeper.reading = Reading(self.steady, traffic)

    def silent(self, engine: int = 0) -> None:
        """It began anew and has counted nothing yet."""
        self.loop.keepers[engine].reading = Reading(self.steady, {})

    def tick(self, seconds: float = 1.0) -> None:
        self.wall += seconds
        self.steady += seconds
        self.history.tick()

    async def minutes(self, totals: Callable[[int], int | None], count: int = 1) -> None:
        """Ten seconds a tick; ``totals``: what is counted at the n-th; None: the engine is gone."""
        for n in range(count * 6):
            self.wall += 10
            self.steady += 10
            total = totals(n)
            if total is None:
                self.silent()
            else:
                self.count(total)
            self.history.tick()
            await self.history.keep()

    async def graph(self, key: Key, span: float, step: int) -> Graph:
        return await self.history.read(key, self.wall - span, self.wall, step)


def values(graph: Graph, metric: str) -> list[float | None]:
    column = METRICS.index(metric)
    found = [None if band is None else band.avg[column] for band in graph.points]
    return [None if value is None or isnan(value) else round(value, 3) for value in found]


def told(node: Node, metric: str, key: Key = SERVICE) -> list[float | None]:
    """The seconds since the first."""
    column = METRICS.index(metric)
    bands = [frame.of(key) for frame in node.history.recorder.seconds]
    found = [None if band is None else band.avg[column] for band in bands]
    return [None if value is None or isnan(value) else round(value, 3) for value in found]


def test_counters_become_rates_and_begun_anew_they_become_gaps_and_no_spikes(tmp_path: Path) -> None:
    node = Node(tmp_path / "h.db")
    for total in (5000, 5010, 5040, 3, 8):
        node.count(total, bytes_in=total * 100, active=7)
        node.tick()
    assert told(node, "connections") == [10.0, 30.0, None, 5.0]
    assert told(node, "bytes_in") == [1000.0, 3000.0, None, 500.0]
    assert told(node, "active") == [7.0] * 4
    assert told(node, "bytes_out") == [None] * 4, "replies do not pass the node"
    assert told(node, "requests") == [None] * 4, "no log"


def test_a_server_that_joins_with_old_counters_is_no_spike(tmp_path: Path) -> None:
    node = Node(tmp_path / "h.db")
    for second, total in enumerate((100, 110, 120, 130)):
        node.count(total)
        if second >= 2:
            node.count(900_000 + second * 5, host="vna2")
        node.tick()
    assert told(node, "connections") == [10.0, 10.0, 15.0]


def test_an_engine_that_begins_anew_leaves_the_other_ones_counters_alone(tmp_path: Path) -> None:
    node = Node(tmp_path / "h.db", engines=2)
    for second in range(5):
        node.count(100 + second * 10, bytes_in=1, engine=0)
        if second == 2:
            node.silent(1)
        else:
            node.count(0, bytes_out=5000 + second * 300, engine=1)
        node.tick()
    assert told(node, "connections") == [10.0] * 4
    assert told(node, "bytes_out") == [300.0, None, None, 300.0]


def test_a_late_pass_is_bridged_and_one_that_does_not_come_is_a_gap(tmp_path: Path) -> None:
    node = Node(tmp_path / "h.db")
    for second in range(8):
        if second < 3:
            node.count(second * 10)
        node.tick()
    assert told(node, "connections") == [10.0] * 4 + [None] * 3
    node.count(100_000)
    node.tick()
    assert told(node, "connections")[-1] == pytest.approx(100_000 / 6, rel=0.01), "over all that time"


def test_servers_checks_and_requests(tmp_path: Path) -> None:
    node = Node(tmp_path / "h.db")
    recorder = node.history.recorder
    node.tick()
    looked_at = next(iter(targets(node.loop.config)))
    for took in (4.0, 6.0):
        recorder.looked(looked_at, Result(0.0, Verdict.UP, "", took))
    recorder.looked(looked_at, Result(0.0, Verdict.DEAD, "", 900.0))
    node.counts = {SERVICE: (6, 2), VNA1: (6, 2)}
    node.tick(2.0)
    assert told(node, "check_ms") == [5.0]
    assert (told(node, "requests"), told(node, "errors")) == ([3.0], [1.0])
    able = len(node.loop.config.services[0].pool)
    assert told(node, "servers_open") == [able]
    node.loop.status = seen(node.loop.config, vna1=Verdict.DEAD)
    node.counts = {SERVICE: (4, 0)}
    node.tick()
    assert told(node, "servers_open")[-1] == able - 1
    assert told(node, "requests")[-1] == 4.0, "counted anew"


def test_minutes_and_quarters_hold_mean_least_and_greatest(tmp_path: Path) -> None:
    async def story() -> None:
        node = Node(tmp_path / "h.db")
        await node.minutes(lambda n: n * 10 * (n % 6), 1)
        await node.minutes(lambda n: 350 + n * 100, 31)
        graph = await node.graph(VNA1, 32 * 60, 60)
        assert len(graph.points) == 32
        assert values(graph, "connections")[1:] == [pytest.approx(10.0)] * 31
        first = graph.points[0]
        assert first is not None
        assert first.low[0] < first.avg[0] < first.high[0]
        quarters = await node.graph(SERVICE, 1800, 900)
        assert values(quarters, "connections")[-1] == 10.0
        await node.history.close()

    asyncio.run(story())


def test_after_a_kill_all_but_the_running_minute_is_there(tmp_path: Path) -> None:
    """The file is read as it is on disk; the first engine never gets to close it."""

    async def story() -> None:
        path = tmp_path / "h.db"
        node = Node(path)
        await node.minutes(lambda n: n * 50, 70)
        node.tick(10.0)
        before = values(await node.graph(SERVICE, 3600 * 2, 60), "connections")
        again = Node(path)
        again.wall = node.wall + 600
        await again.history.resume()
        after = values(await again.graph(SERVICE, 3600 * 2, 60), "connections")
        assert after[:-10] == before[10:]
        assert after[-10:] == [None] * 10, "what nobody measured is no zero"
        assert sum(value is not None for value in after) == 70
        await again.minutes(lambda n: 10 * n, 60)
        assert sum(v == 5.0 for v in values(await again.graph(SERVICE, 3600 * 3, 60), "connections")) >= 69
        for each in (node, again):
            await each.history.close()

    asyncio.run(story())


@pytest.mark.parametrize("cut", range(1, 6))
def test_a_stop_within_a_minute_leaves_its_steps_to_the_next_engine(tmp_path: Path, cut: int) -> None:
    """The mean is of all steps measured, before and after; ``cut``: tens of seconds into the minute."""

    async def story() -> None:
        path = tmp_path / "h.db"
        node = Node(path)
        await node.minutes(lambda n: n * 100)
        await steps(node, cut, 600, 100)
        await node.history.close()
        after = Node(path)
        after.wall = node.wall
        await after.history.resume()
        await steps(after, 7 - cut, 0, 400)
        found = values(await after.graph(SERVICE, 120, 60), "connections")
        lost = 1  # the new engine's first step is not whole
        measured = [10.0] * cut + [40.0] * (6 - cut - lost)
        assert found[-1] == pytest.approx(sum(measured) / len(measured), rel=1e-3)
        await after.history.close()

    asyncio.run(story())


def test_a_minute_that_was_over_before_the_next_engine_came_is_kept_and_only_once(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "h.db"
        node = Node(path)
        await node.minutes(lambda n: n * 100)
        await steps(node, 3, 600, 100)
        await node.history.close()
        for away in (7200, 600):
            after = Node(path)
            after.wall = node.wall + away
            await after.history.resume()
            found = values(await after.graph(SERVICE, away + 120, 60), "connections")
            assert [value for value in found if value is not None] == [10.0, 10.0]
            assert not await after.history._call(HistoryStore.left)
            await after.history.close()

    asyncio.run(story())


def test_what_an_engine_left_is_gone_once_the_next_one_has_it(tmp_path: Path) -> None:
    """Else a kill of that one would bring it back beside newer steps."""

    async def story() -> None:
        path = tmp_path / "h.db"
        node = Node(path)
        await steps(node, 4, 0, 100)
        await node.history.close()
        killed, after = Node(path), Node(path)
        killed.wall = after.wall = node.wall
        await killed.history.resume()
        await after.history.resume()
        assert killed.history.recorder.fines.since is not None
        assert after.history.recorder.fines.since is None
        for each in (killed, after):
            each.wall += 60
            await each.history.close()

    asyncio.run(story())


async def steps(node: Node, count: int, total: int, gain: int) -> None:
    """So many steps of ten seconds, with ``gain`` connections in each."""
    for n in range(count):
        node.wall += 10
        node.steady += 10
        node.count(total + n * gain)
        node.history.tick()
        await node.history.keep()


@settings(max_examples=8, deadline=None)
@given(
    totals=st.lists(st.one_of(st.none(), st.integers(0, 10**6)), min_size=60, max_size=60),
    cut=st.integers(1, 9),
    hour=st.integers(0, 3599),
)
def test_a_restart_between_two_minutes_changes_nothing_but_what_was_not_measured(
    tmp_path_factory: pytest.TempPathFactory, totals: list[int | None], cut: int, hour: int
) -> None:
    async def story() -> None:
        folder = tmp_path_factory.mktemp("h")
        whole, parts = Node(folder / "whole.db"), Node(folder / "parts.db")
        for node in (whole, parts):
            node.wall += hour // 60 * 60
        await whole.minutes(lambda n: totals[n], 10)
        await parts.minutes(lambda n: totals[n], cut)
        after = Node(folder / "parts.db")
        after.wall, after.steady = parts.wall, parts.steady
        after.loop.keepers[0].reading = parts.loop.keepers[0].reading
        await after.history.resume()
        await after.minutes(lambda n: totals[cut * 6 + n], 10 - cut)
        expected = (await whole.graph(SERVICE, 600, 60)).points
        found = (await after.graph(SERVICE, 600, 60)).points
        assert [repr(p) for n, p in enumerate(found) if n != cut] == [
            repr(p) for n, p in enumerate(expected) if n != cut
        ]
        for node in (whole, parts, after):
            await node.history.close()

    asyncio.run(story())


def test_a_clock_that_jumps_is_survived(tmp_path: Path) -> None:
    async def story() -> None:
        node = Node(tmp_path / "h.db")
        await node.minutes(lambda n: n * 100, 70)
        node.wall -= 1800
        await node.minutes(lambda n: 100_000 + n * 200, 5)
        found = values(await node.graph(SERVICE, 2400, 60), "connections")
        assert found[-4:] == [20.0] * 4, "its time is written anew"
        assert found[:-6] == [10.0] * 34, "and what was before stays, from the chunk of that hour too"
        node.wall += 400 * 86_400
        await node.minutes(lambda n: 200_000 + n * 300, 3)
        assert values(await node.graph(SERVICE, 300, 60), "connections")[-2:] == [30.0] * 2
        node.wall -= 400 * 86_400
        await node.minutes(lambda n: 300_000 + n * 400, 65)
        found = values(await node.graph(SERVICE, 3600, 60), "connections")
        assert max(v for v in found if v is not None) == 40.0
        await node.history.close()

    asyncio.run(story())


def test_the_past_of_a_removed_service_stays(tmp_path: Path) -> None:
    async def story() -> None:
        node = Node(tmp_path / "h.db", site(dr(), dr("Old", 102)))
        await node.minutes(lambda n: n * 10, 3)
        node.loop.config = site(dr("New", 103))
        await node.minutes(lambda n: n * 10, 62)
        assert sum(p is not None for p in (await node.graph(("Old", ""), 3600 * 2, 60)).points) == 3
        assert sum(p is not None for p in (await node.graph(("New", ""), 3600 * 2, 60)).points) == 62
        with pytest.raises(Unknown, match="no history of service 'Other'"):
            await node.graph(("Other", ""), 600, 10)
        await node.history.close()

    asyncio.run(story())


def test_a_disk_that_fails_is_told_and_what_is_in_memory_goes_to_it_later(tmp_path: Path) -> None:
    async def story() -> None:
        folder = tmp_path / "later"
        node = Node(folder / "h.db")
        await node.minutes(lambda n: n * 10, 2)
        (condition,) = node.history.conditions()
        assert "free space" in condition.what
        assert len(values(await node.graph(SERVICE, 120, 60), "connections")) == 2
        folder.mkdir()
        await node.minutes(lambda n: 1000 + n * 10, 62)
        assert not list(node.history.conditions())
        again = Node(folder / "h.db")
        again.wall = node.wall
        found = (await again.graph(SERVICE, 7200, 60)).points
        assert sum(p is not None for p in found) >= 60
        for each in (node, again):
            await each.history.close()

    asyncio.run(story())


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    async def story() -> None:
        node = Node(tmp_path / "h.db")
        await node.minutes(lambda n: n * 10, 61)
        node.wall += 3 * 86_400
        await node.minutes(lambda n: n * 10, 61)
        assert values(await node.graph(SERVICE, 4 * 86_400, 900), "connections")[-300:-290] != [None] * 10
        store = node.history._store
        assert store is not None
        steps = await node.history._call(
            lambda s: s._db.execute("SELECT step, count(*) FROM chunk GROUP BY step ORDER BY step").fetchall()
        )
        rows = len(node.history.recorder._rows)
        assert steps == [(60, rows), (900, 2 * rows)]
        await node.history.close()

    asyncio.run(story())


def test_a_broken_chunk_is_a_gap(tmp_path: Path) -> None:
    async def story() -> None:
        node = Node(tmp_path / "h.db")
        await node.minutes(lambda n: n * 10, 61)
        await node.history._call(lambda s: s._db.execute("UPDATE chunk SET band = x'00'"))
        found = await node.graph(SERVICE, 7200, 60)
        assert sum(p is not None for p in found.points) == 1, "the one that still is in memory"
        await node.history.close()

    asyncio.run(story())


def test_a_file_that_is_too_large_loses_its_oldest_days(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = HistoryStore(tmp_path / "h.db")
    rows = {SERVICE: 0}
    noon = T0 // 86_400 * 86_400 + 43_200
    for day in range(5):
        minute = Frame((noon + day * 86_400) // 60, rows, Band.measured([1.0] * len(METRICS)))
        store.note(minute)
        store.keep([minute])
    begin, now = noon // 900, noon + 4 * 86_400 + 60
    store.prune(now)
    assert len(store.read(SERVICE, 900, begin, now // 900 + 1)) == 5
    monkeypatch.setattr(history_store, "_MOST_BYTES", 0)
    store.prune(now)
    assert sorted(store.read(SERVICE, 900, begin, now // 900 + 1)) == [begin + 3 * 96, begin + 4 * 96]
    assert not store.noted()
    store.close()
