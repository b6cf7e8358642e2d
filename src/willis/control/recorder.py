"""Measures every service each second, and every service and server each ten seconds, into memory.

It only reads what the loop and the checks have found out already. Both clocks are arguments: rates are
of the steady one, and the steps that frames belong to are of the wall's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from math import nan

from willis.control.frames import METRICS, WIDTH, Band, Frame, Frames, Key
from willis.control.gains import Gain, Pairs, by_place, by_service
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

Counts = Mapping[Key, tuple[int, int]]
"""Requests and those that failed, ever, by series."""


class _Tier:
    """What one tier remembers between two steps."""

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self.number: int | None = None
        self.pairs = Pairs()
        self.counts: Counts = {}
        self.at: float | None = None
        self.looks: dict[Key, tuple[float, int]] = {}
        """Milliseconds together, and how many, of good looks."""


class Recorder:
    """Of one node. Used in the event loop's thread."""

    def __init__(self, loop: Loop, counts: Callable[[], Counts]) -> None:
        self._loop = loop
        self._counts = counts
        self._seconds = _Tier(Frames(SECOND, _SECONDS, _SECONDS_BYTES))
        self._fines = _Tier(Frames(FINE, _FINES, _FINES_BYTES))
        self._config: Config | None = None
        self._rows: dict[Key, int] = {}
        self._services = 0
        self._looked_for: dict[Target, list[Key]] = {}
        self._standings: tuple[Config, Status] | None = None
        self._standings_due = 0.0
        self._open: dict[Key, int] = {}

    @property
    def seconds(self) -> Frames:
        """Of services."""
        return self._seconds.frames

    @property
    def fines(self) -> Frames:
        """Of services and servers."""
        return self._fines.frames

    def knows(self, key: Key) -> bool:
        """Whether the document in force has it."""
        self._follow()
        return key in self._rows

    def looked(self, looked_at: Target, result: Result) -> None:
        """A check looked. How long one took that failed says nothing: a refusal is quick."""
        if not result.ok:
            return
        for key in self._looked_for.get(looked_at, ()):
            for tier in (self._seconds, self._fines):
                took, looks = tier.looks.get(key, (0.0, 0))
                tier.looks[key] = (took + result.took_ms, looks + 1)

    def tick(self, now: float, steady: float) -> None:
        """End the steps that are over. ``now``: seconds since the epoch; ``steady``: of a steady clock."""
        self._follow()
        for tier, step in ((self._seconds, SECOND), (self._fines, FINE)):
            number = int(now) // step - 1
            if number != tier.number:
                tier.number = number
                self._count_standings(steady)
                tier.frames.add(self._frame(tier, number, steady, each=step == FINE))

    def _follow(self) -> None:
        """Have a row for all that the running document has: services first, then their servers."""
        config = self._loop.config
        if config is self._config:
            return
        self._config = config
        keys = [(service.name, "") for service in config.services]
        self._services = len(keys)
        self._looked_for = {}
        for service in config.services:
            keys += [(service.name, server.host) for server in service.pool]
            if service.fallback is not None:
                keys.append((service.name, service.fallback.host))
            for server in service.pool:
                wanting = self._looked_for.setdefault(target(service, server), [])
                wanting += [(service.name, server.host), (service.name, "")]
        rows = {key: row for row, key in enumerate(dict.fromkeys(keys))}
        if list(rows) != list(self._rows):
            self._rows = rows

    def _count_standings(self, steady: float) -> None:
        seen = (self._loop.config, self._loop.status)
        if self._standings is not None and all(a is b for a, b in zip(seen, self._standings, strict=True)):
            return
        if steady < self._standings_due:
            return
        began = time.thread_time()
        self._standings, self._open = seen, {}
        for service in seen[0].services:
            able = {m.server.host: int(m.takes_new) for m in members(service, seen[1])}
            self._open |= {(service.name, host): each for host, each in able.items()}
            self._open[service.name, ""] = sum(able.values())
        self._standings_due = steady + _SHARE * (time.thread_time() - began)

    def _frame(self, tier: _Tier, number: int, steady: float, *, each: bool) -> Frame:
        values = [nan] * (WIDTH * (len(self._rows) if each else self._services))
        for keeper in self._loop.keepers:
            pair = tier.pairs.next(keeper.engine.name, keeper.reading, steady)
            if pair is None:
                continue
            seconds = pair[1].at - pair[0].at
            gains = _each(by_place(pair)) if each else _whole(by_service(pair))
            logged = isinstance(keeper.engine, Logs)
            for key, gain in gains:
                row = self._rows.get(key)
                if row is not None:
                    _put(values, row * WIDTH, gain, seconds)
                    if logged:
                        values[row * WIDTH + _REQUESTS] = values[row * WIDTH + _ERRORS] = 0.0
        self._put_counts(tier, values, steady)
        self._put_looks(tier, values)
        for key, count in self._open.items():
            self._set(values, key, _OPEN, count)
        return Frame(number, self._rows, Band.measured(values))

    def _put_counts(self, tier: _Tier, values: list[float], steady: float) -> None:
        """Requests since the last step, of services that have a log."""
        before, tier.counts = tier.counts, dict(self._counts())
        since, tier.at = tier.at, steady
        for key, counted in tier.counts.items():
            was = before.get(key, (0, 0))
            if counted != was and since is not None and steady > since:
                self._set(values, key, _REQUESTS, (counted[0] - was[0]) / (steady - since))
                self._set(values, key, _ERRORS, (counted[1] - was[1]) / (steady - since))

    def _put_looks(self, tier: _Tier, values: list[float]) -> None:
        looks, tier.looks = tier.looks, {}
        for key, (took, count) in looks.items():
            self._set(values, key, _CHECK, took / count)

    def _set(self, values: list[float], key: Key, column: int, value: float) -> None:
        at = self._rows.get(key, len(values)) * WIDTH + column
        if at < len(values):
            values[at] = value


def _whole(gains: Mapping[str, Gain]) -> Iterable[tuple[Key, Gain]]:
    return (((service, ""), gain) for service, gain in gains.items())


def _each(gains: Mapping[Key, Gain]) -> Iterable[tuple[Key, Gain]]:
    """Every place, for itself and for its service."""
    for place, gain in gains.items():
        yield place, gain
        yield (place[0], ""), gain


def _put(values: list[float], at: int, gain: Gain, seconds: float) -> None:
    """Add to what another engine or another place has brought."""
    found = [(_ACTIVE, float(gain.active))]
    if gain.known:
        found += [(_CONNECTIONS, gain.connections / seconds), (_IN, gain.bytes_in / seconds)]
    if gain.out_known:
        found.append((_OUT, gain.bytes_out / seconds))
    for column, value in found:
        known = values[at + column]
        values[at + column] = value if known != known else known + value
