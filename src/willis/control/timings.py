"""How long passes, looks and applies took since the engine began, as Prometheus counts durations."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Histogram, disable_created_metrics
from prometheus_client.metrics_core import Metric

from willis.model.check import CheckKind

# Nobody asks when each counter began, and it would be one more series for every histogram.
disable_created_metrics()  # type: ignore[no-untyped-call]

_PASS_S = (0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)
_LOOK_S = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
_APPLY_S = (0.1, 0.3, 1, 3, 10, 30)
"""Upper bounds of the buckets, in seconds."""


class Timings:
    """Of one node. Each may be told in any thread."""

    def __init__(self) -> None:
        self._passes = Histogram(
            "willis_engine_pass_duration_seconds",
            "How long a pass of an engine took: observe, compile, compare, apply",
            ("engine",),
            registry=None,
            buckets=_PASS_S,
        )
        self._looks = Histogram(
            "willis_check_duration_seconds",
            "How long a look of a check took, whatever came of it",
            ("kind",),
            registry=None,
            buckets=_LOOK_S,
        )
        self._applies = Histogram(
            "willis_apply_duration_seconds",
            "How long the engines took until they held a new document",
            registry=None,
            buckets=_APPLY_S,
        )
        self._kinds: dict[CheckKind, Histogram] = {}

    def passed(self, engine: str, seconds: float) -> None:
        """An engine ended a pass."""
        self._passes.labels(engine).observe(seconds)

    def looked(self, kind: CheckKind, seconds: float) -> None:
        """A check looked. The series is looked up once, since a thousand looks may end in a second."""
        known = self._kinds.get(kind)
        if known is None:
            known = self._kinds[kind] = self._looks.labels(kind.value)
        known.observe(seconds)

    def applied(self, seconds: float) -> None:
        """All engines took a document."""
        self._applies.observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """The families, for the text format."""
        for histogram in (self._passes, self._looks, self._applies):
            yield from histogram.collect()
