"""From single looks to a verdict: rise and fall in a row, and what is remembered of a target.

A server that comes and goes is worse than one that is gone: each fall costs clients their
connections. So one that falls often must give more good answers in a row before it is trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from willis.model.check import Check, CheckKind
from willis.model.status import Health, Verdict

GOOD = (Verdict.UP, Verdict.BUSY)
"""Verdicts under which a server may take new connections."""


_TIMES = 5
"""So many times slower than usual is slow."""
_NOTHING_MS, _MUCH_MS = 300.0, 600.0
"""Less than the first is no matter, whatever is usual; more than the second is much. A lost packet
costs 200 ms (RFC 6298 as Linux has it), two lost ones 600 ms: loss alone is no slowness.
"""
_SLOW, _VERY_SLOW, _ENOUGH = 1, 2, 8
"""What a slow look counts, and how much makes a server busy: eight slow ones in a row, or four very slow."""
_ACQUAINTED = 20
"""So many good looks make what is usual."""
_PACE, _SLOW_PACE = 0.1, 0.002
"""How much the newest look counts; a slow one counts little, and wins in the end."""
_MEMORY_S, _FORGIVEN = 300.0, 3
"""So long a fall is remembered, and so many of them slow nobody: outages, restarts and their repair."""
_MOST_DOUBLINGS, _MOST_WAIT_S = 3, 60.0
"""Each further fall doubles ``rise``, at most so often, and to looks that take no longer than this."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a look's transcript. It never holds what a data set, a body or a segment says."""

    after_ms: float
    """Since the look began."""
    sent: bool
    """By us; else received."""
    what: str


@dataclass(frozen=True, slots=True)
class Result:
    """One look at a target: what was asked, what came back, and what it means."""

    at: float
    """Seconds since the epoch at which the look ended."""
    verdict: Verdict
    """UNKNOWN: the look failed on our own side and says nothing about the server."""
    reason: str
    """One sentence, the same for every look that ended alike."""
    took_ms: float = 0.0
    sent: str = ""
    received: str = ""
    kind: CheckKind = CheckKind.TCP
    transcript: tuple[Step, ...] = ()
    """In the order of time; none where ``sent`` and ``received`` say all."""

    @property
    def ok(self) -> bool:
        """Whether the server may take new connections."""
        return self.verdict in GOOD

    @property
    def counts(self) -> bool:
        """Whether the look says anything about the server."""
        return self.verdict is not Verdict.UNKNOWN


@dataclass(frozen=True, slots=True)
class Usual:
    """How long good looks of one kind take, by and large."""

    ms: float
    looks: int = 0
    slow: int = 0
    """What the slow ones in a row count, until now."""


@dataclass(frozen=True, slots=True)
class Track:
    """All that is remembered of one target."""

    health: Health = field(default_factory=Health)
    successes: int = 0
    """In a row, until now."""
    failures: int = 0
    """In a row, until now."""
    usual: Mapping[CheckKind, Usual] = field(default_factory=dict)
    """How long good looks take, by what they ask."""
    last_good: Result | None = None
    last_failed: Result | None = None
    falls: tuple[float, ...] = ()
    """When it lately fell from a good verdict to a bad one, in seconds since the epoch."""

    def fallen(self, now: float) -> tuple[float, ...]:
        """The falls that are still remembered."""
        return tuple(at for at in self.falls if 0 <= now - at < _MEMORY_S)

    def trusted_after(self, check: Check, now: float) -> int:
        """Good looks in a row that bring it back: ``check.rise``, or more after many falls."""
        further = len(self.fallen(now)) - _FORGIVEN
        if further <= 0:
            return check.rise
        most = max(check.rise, int(_MOST_WAIT_S / check.interval_s))
        return min(check.rise << min(further, _MOST_DOUBLINGS), most)


def advance(track: Track, result: Result, check: Check, now: float) -> Track:
    """The track after one more look. ``now``: seconds since the epoch.

    The first result is believed at once; afterwards ``check.rise`` successes or
    ``check.fall`` failures in a row turn the verdict; after many falls it takes more
    successes, and once it has ``check.rise`` of them it is *held back*. Between two good verdicts (up,
    busy) or two bad ones (dead, hung, failing, misconfigured) the newest holds at once.
    A look that failed on our own side changes no verdict and breaks no row.
    """
    if not result.counts:
        return _blind(track, result)
    if result.ok:
        track, result = _timed(track, result)
        after = replace(track, successes=track.successes + 1, failures=0, last_good=result)
        turned = after.successes >= track.trusted_after(check, now)
    else:
        after = replace(track, successes=0, failures=track.failures + 1, last_failed=result)
        turned = after.failures >= check.fall
    was = track.health.verdict
    same_side = (was in GOOD) is result.ok
    if was is Verdict.UNKNOWN or same_side or turned:
        fell = was in GOOD and not result.ok
        falls = (*track.fallen(now), now) if fell else track.falls
        return replace(after, health=_health(track.health, result, now), falls=falls)
    if result.ok and after.successes >= check.rise:
        return replace(after, health=_held(after, check, now))
    return after


def _held(track: Track, check: Check, now: float) -> Health:
    reason = (
        f"answers again, but fell {len(track.fallen(now))} times within {_MEMORY_S / 60:g} minutes: "
        f"trusted after {track.trusted_after(check, now)} good looks in a row"
    )
    return replace(track.health, reason=reason, held=True)


def _timed(track: Track, result: Result) -> tuple[Track, Result]:
    """A server that becomes far slower than it used to be is busy."""
    known = track.usual.get(result.kind, Usual(result.took_ms))
    counts = _slowness(result.took_ms, known.ms) if known.looks >= _ACQUAINTED else 0
    pace = _SLOW_PACE if counts else _PACE
    learnt = Usual(
        known.ms + (result.took_ms - known.ms) * pace, known.looks + 1, counts and known.slow + counts
    )
    after = replace(track, usual={**track.usual, result.kind: learnt})
    if learnt.slow >= _ENOUGH and result.verdict is Verdict.UP:
        reason = f"{result.reason}, but more than {_TIMES} times slower than usual"
        return after, replace(result, verdict=Verdict.BUSY, reason=reason)
    return after, result


def _slowness(took_ms: float, usual_ms: float) -> int:
    more = took_ms - usual_ms
    if took_ms < _TIMES * usual_ms or more < _NOTHING_MS:
        return 0
    return _SLOW if more < _MUCH_MS else _VERY_SLOW


def _blind(track: Track, result: Result) -> Track:
    """Nothing was learnt. A target never seen says so; a known one keeps its verdict."""
    if track.health.verdict is Verdict.UNKNOWN:
        return replace(track, health=replace(track.health, reason=result.reason))
    return track


def _health(old: Health, result: Result, now: float) -> Health:
    since = old.since if old.verdict is result.verdict else now
    return Health(result.verdict, result.reason, since)
