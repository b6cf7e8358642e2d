"""What monitoring asks for: the state of services, servers, engines and events as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric

Json = Mapping[str, Any]
Counts = Mapping[tuple[str, str], tuple[int, int]]

_SERVER = ("service", "host")


def text(
    status: Json, top: Json, open_events: Iterable[Json], counts: Counts, timings: Iterable[Metric]
) -> bytes:
    """The text format of Prometheus, version 0.0.4. The first three are what the API answers.

    ``counts``: requests and those that failed, by (service, host); empty: of the whole service.
    """
    families = [*_families(status, top, open_events), *_requests(status["services"], counts), *timings]
    return generate_latest(_Told(families))


class _Told:
    """What ``generate_latest`` takes for a registry."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def _families(status: Json, top: Json, open_events: Iterable[Json]) -> Iterator[Metric]:
    yield from _of_services(status["services"])
    yield from _of_servers([(s["name"], r) for s in status["services"] for r in s["servers"]])
    yield _engines(status["engines"])
    yield _durations(top["services"])
    events = GaugeMetricFamily("willis_events_open", "Events that have not ended", labels=("severity",))
    found = list(open_events)
    for severity in ("info", "warning", "error"):
        events.add_metric((severity,), sum(event["severity"] == severity for event in found))
    yield events
    revision = GaugeMetricFamily("willis_revision", "Number of the running document")
    revision.add_metric((), status["revision"] or 0)
    yield revision


def _of_services(services: Iterable[Json]) -> Iterator[Metric]:
    says = "Servers that take new connections"
    able = GaugeMetricFamily("willis_service_servers_open", says, labels=("service",))
    pool = GaugeMetricFamily("willis_service_servers", "Servers in the pool", labels=("service",))
    got = CounterMetricFamily("willis_service_received_bytes", "Bytes from clients", labels=("service",))
    says = "Bytes to clients; not known with direct routing"
    sent = CounterMetricFamily("willis_service_sent_bytes", says, labels=("service",))
    for service in services:
        labels = (service["name"],)
        able.add_metric(labels, sum(s["standing"] == "open" for s in service["servers"]))
        pool.add_metric(labels, len(service["servers"]))
        got.add_metric(labels, service["bytes"]["in"])
        if service["bytes"]["out"] is not None:
            sent.add_metric(labels, service["bytes"]["out"])
    yield from (able, pool, got, sent)


def _requests(services: Iterable[Json], counts: Counts) -> Iterator[Metric]:
    says = "Requests, connections or associations that ended, of services that have an access log"
    ended = CounterMetricFamily("willis_service_requests", says, labels=("service",))
    failed = CounterMetricFamily("willis_service_requests_failed", "Those that failed", labels=("service",))
    for service in services:
        known = counts.get((service["name"], ""))
        if known is not None:
            for family, count in zip((ended, failed), known, strict=True):
                family.add_metric((service["name"],), count)
    yield from (ended, failed)


def _of_servers(servers: Iterable[tuple[str, Json]]) -> Iterator[Metric]:
    up = GaugeMetricFamily("willis_server_up", "Whether its check says up or busy", labels=_SERVER)
    weight = GaugeMetricFamily("willis_server_weight", "Its weight as of now", labels=_SERVER)
    active = GaugeMetricFamily("willis_server_connections", "Connections open now", labels=_SERVER)
    total = CounterMetricFamily("willis_server_connections_made", "Connections ever", labels=_SERVER)
    for service, server in servers:
        labels = (service, server["host"])
        up.add_metric(labels, server["verdict"] in ("up", "busy"))
        weight.add_metric(labels, server["weight_now"])
        active.add_metric(labels, server["sessions"]["active"])
        total.add_metric(labels, server["sessions"]["total"])
    yield from (up, weight, active, total)


def _engines(engines: Iterable[Json]) -> Metric:
    found = GaugeMetricFamily(
        "willis_engine_ok", "Whether an engine holds what it should", labels=("engine",)
    )
    for engine in engines:
        found.add_metric((engine["name"],), engine["ok"])
    return found


def _durations(services: Iterable[Json]) -> Metric:
    found = GaugeMetricFamily(
        "willis_duration_seconds",
        "How long requests, connections and associations of the last minute took at the proxy",
        labels=("service", "quantile"),
    )
    for service in services:
        minute = service["minute"]
        for quantile, key in (("0.5", "p50_ms"), ("0.95", "p95_ms"), ("0.99", "p99_ms")):
            if minute is not None:
                found.add_metric((service["name"], quantile), minute[key] / 1000)
    return found
