"""Measures every service each second, and every service and server each ten seconds, into memory.

It only reads what the loop and the checks have found out already. Both clocks are arguments: rates are
of the steady one, and the steps that frames belong to are of the wall's.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from math import nan

from willis.control.frames import METRICS, Band, Frame, Frames, Key
from willis.control.gains import Pairs, Place, added, gains
from willis.control.loop import Loop
from willis.engines.port import Logs
from willis.model.check import Target
from willis.model.config import Config
from willis.model.status import Status
from willis.plan.members import members, target
from willis.plan.verdict import Result

SECOND, FINE = 1, 10
"""Lengths of steps, in seconds."""
_SECONDS, _FINES = 600, 1080
"""Steps kept: ten minutes, and three hours."""
_SECONDS_BYTES, _FINES_BYTES = 16 << 20, 40 << 20
"""What they may take; the oldest go first. 500 services are all of the first, with 10 servers each they
have 38 minutes of the second; 1,000 series have all of both."""
_SHARE = 50
"""Standings are counted again once they changed, but that takes at most a fiftieth of the time."""

_COLUMN = {name: column for column, name in enumerate(METRICS)}
_CONNECTIONS, _ACTIVE, _IN, _OUT = (_COLUMN[m] for m in ("connections", "active", "bytes_in", "bytes_out"))
_REQUESTS, _ERRORS, _CHECK, _OPEN = (_COLUMN[m] for m in ("requests", "errors", "check_ms", "servers_open"))


@dataclass(frozen=True, slots=True)
class _Series:
    """What a tier measures."""

    count: int
    rows: Mapping[Place, Sequence[int]]
    """Those that a place counts for: its service, and in the finer detail itself."""


Counts = Mapping[Key, tuple[int, int]]
"""Requests and those that failed, ever, by series."""


class _Tier:
    """What one tier remembers between two steps."""

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self.number: int | None = None
        self.pairs = Pairs()
        self.at: float | None = None
        self.counts: Counts = {}
        self.wants(0)

    def wants(self, series: int) -> None:
        """Begin with the checks of so many series anew."""
        self.took_ms, self.looks = [0.0] * series, [0] * series
        """By row, of good looks of this step."""


class Recorder:
    """Of one node. Used in the event loop's thread."""

    def __init__(self, loop: Loop, counts: Callable[[], Counts]) -> None:
        self._loop = loop
        self._counts = counts
        self._seconds = _Tier(Frames(SECOND, _SECONDS, _SECONDS_BYTES))
        self._fines = _Tier(Frames(FINE, _FINES, _FINES_BYTES))
        self._config: Config | None = None
        self._rows: dict[Key, int] = {}
        self._series: dict[_Tier, _Series] = {}
        self._looked_for: dict[Target, list[int]] = {}
        self._standings: tuple[Config, Status] | None = None
        self._standings_due = 0.0
        self._open: list[float] = []

    @property
    def seconds(self) -> Frames:
        """Of services."""
        return self._seconds.frames

    @property
    def fines(self) -> Frames:
        """Of services and servers."""
        return self._fines.frames

    def resume(self, fines: Iterable[Frame]) -> None:
        """Take up what an engine before measured, unless something was measured since."""
        if self.fines.since is None:
            for frame in fines:
                self.fines.add(frame)

    def knows(self, key: Key) -> bool:
        """Whether the document in force has it."""
        self._follow()
        return key in self._rows

    def looked(self, looked_at: Target, result: Result) -> None:
        """A check looked. How long one took that failed says nothing: a refusal is quick."""
        if not result.ok:
            return
        for row in self._looked_for.get(looked_at, ()):
            for tier in (self._fines, self._seconds):
                if row < len(tier.looks):
                    tier.looks[row] += 1
                    tier.took_ms[row] += result.took_ms

    def tick(self, now: float, steady: float) -> None:
        """End the steps that are over. ``now``: seconds since the epoch; ``steady``: of a steady clock."""
        self._follow()
        for tier in (self._seconds, self._fines):
            number, last = int(now) // tier.frames.step_s - 1, tier.number
            if number == last:
                continue
            tier.number = number
            self._count_standings(steady)
            values = self._values(tier, steady)
            if last is not None:  # else the step began before us
                tier.frames.add(Frame(number, self._rows, Band.measured(values)))

    def _follow(self) -> None:
        """Have a row for all that the running document has: services first, then their servers."""
        config = self._loop.config
        if config is self._config:
            return
        self._config = config
        pools = {s.name: [*s.pool, *([s.fallback] if s.fallback else [])] for s in config.services}
        services = [(name, "") for name in pools]
        places = [(name, server.host) for name, pool in pools.items() for server in pool]
        rows = {key: row for row, key in enumerate(dict.fromkeys([*services, *places]))}
        if list(rows) != list(self._rows):
            self._rows = rows
        whole = {place: (rows[place[0], ""],) for place in places}
        self._series = {
            self._seconds: _Series(len(services), whole),
            self._fines: _Series(len(rows), {place: (*whole[place], rows[place]) for place in places}),
        }
        self._looked_for = {}
        for service in config.services:
            for server in service.pool:
                wanting = self._looked_for.setdefault(target(service, server), [])
                wanting += self._series[self._fines].rows[service.name, server.host]
        for tier, series in self._series.items():
            tier.wants(series.count)
        self._standings = None

    def _count_standings(self, steady: float) -> None:
        seen = (self._loop.config, self._loop.status)
        if self._standings is not None and (
            steady < self._standings_due or all(a is b for a, b in zip(seen, self._standings, strict=True))
        ):
            return
        began = time.thread_time()
        able: Counter[int] = Counter()
        for service in seen[0].services:
            for member in members(service, seen[1]):
                for row in self._series[self._fines].rows[service.name, member.server.host]:
                    able[row] += member.takes_new
        self._standings, self._open = seen, [nan] * len(self._rows)
        for row, count in able.items():
            self._open[row] = count
        self._standings_due = steady + _SHARE * (time.thread_time() - began)

    def _values(self, tier: _Tier, steady: float) -> Iterable[float]:
        """All series of the step that ends now, row by row."""
        series = self._series[tier]
        columns = [[nan] * series.count for _ in METRICS]
        for keeper in self._loop.keepers:
            pair = tier.pairs.next(keeper.engine.name, keeper.reading, steady)
            if pair is None or not pair[1].traffic:
                continue
            seconds = pair[1].at - pair[0].at
            found = gains(pair, series.rows, series.count)
            for column, gained, known, per in (
                (_ACTIVE, found.active, found.seen, 1.0),
                (_CONNECTIONS, found.connections, found.counted, seconds),
                (_IN, found.bytes_in, found.counted, seconds),
                (_OUT, found.bytes_out, found.counted_out, seconds),
            ):
                columns[column] = added(columns[column], gained, known, per)
            if isinstance(keeper.engine, Logs):
                for column in (_REQUESTS, _ERRORS):
                    columns[column] = [0.0 if seen else nan for seen in found.seen]
        self._put_counts(tier, columns, steady)
        columns[_CHECK] = [
            took / looks if looks else nan for took, looks in zip(tier.took_ms, tier.looks, strict=True)
        ]
        tier.wants(series.count)
        columns[_OPEN] = self._open[: series.count]
        return chain.from_iterable(zip(*columns, strict=True))

    def _put_counts(self, tier: _Tier, columns: list[list[float]], steady: float) -> None:
        """Requests since the last step, of services that have a log."""
        counts, before = self._counts(), tier.counts
        tier.counts = {key: counts[key] for key in islice(self._rows, len(tier.looks)) if key in counts}
        since, tier.at = tier.at, steady
        if since is None or steady <= since:
            return
        for key, counted in tier.counts.items():
            was = before.get(key, (0, 0))
            if counted[0] < was[0]:
                was = (0, 0)  # the service was away for a moment
            if counted != was:
                for column, now, then in zip((_REQUESTS, _ERRORS), counted, was, strict=True):
                    columns[column][self._rows[key]] = (now - then) / (steady - since)
