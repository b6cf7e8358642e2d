"""What Prometheus reads of services that have an access log."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from willis.control.metrics import text
from willis.control.timings import Timings
from willis.model.check import CheckKind


def test_requests_and_bytes_of_a_service_and_durations_of_looks() -> None:
    service = {"name": 'Web "1"\n', "servers": [], "bytes": {"in": 7, "out": 9}}
    status = {"services": [service], "engines": [], "revision": 3}
    timings = Timings()
    timings.looked(CheckKind.TCP, 0.02)
    counts = {(service["name"], ""): (5, 2), (service["name"], "web1"): (5, 2), ("Gone", ""): (1, 1)}
    told = text(status, {"services": []}, [], counts, timings.collect()).decode()  # type: ignore[arg-type]
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(told)
        for sample in family.samples
    }
    name = service["name"]
    assert found["willis_service_requests_total", name] == 5
    assert found["willis_service_requests_failed_total", name] == 2
    assert found["willis_service_received_bytes_total", name] == 7
    assert found["willis_service_sent_bytes_total", name] == 9
    assert found["willis_check_duration_seconds_bucket", "tcp", "0.01"] == 0
    assert found["willis_check_duration_seconds_bucket", "tcp", "0.03"] == 1
    assert found["willis_check_duration_seconds_sum", "tcp"] == 0.02
    assert not [key for key in found if "Gone" in key or key[0].endswith("_created")]
