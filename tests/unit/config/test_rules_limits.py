"""Rules about limits: one change to a sound document, exactly these problems."""

from __future__ import annotations

import pytest

from tests.unit.config.test_rules import problems

SOUND = """\
version: 1
site: rules
interfaces:
  eth0:
    addresses: [10.60.0.2/24]
hosts:
  a: 10.60.0.11
services:
  Web:
    vip: 10.60.0.101
    ports: 80
    application: http
    forwarding: proxy
    limits: {connections: 500, per-client: 50, request-rate: 200, body: 4g}
    proxy-timeouts: {response: 2h, keep-alive: 5s}
    pool: [{host: a, port: 8080}]
"""
W = "services.Web"

CASES = {
    "not for tcp": (
        ("application: http", "application: hl7"),
        [
            f"error {W}.limits.request-rate: 'request-rate' is for HTTP",
            f"error {W}.limits.body: 'body' is for HTTP",
            f"error {W}.proxy-timeouts.response: 'response' is for HTTP",
            f"error {W}.proxy-timeouts.keep-alive: 'keep-alive' is for HTTP",
        ],
    ),
    "one above all": (
        ("per-client: 50", "per-client: 501"),
        [f"warning {W}.limits.per-client: One address may have more connections than all"],
    ),
    "anybody's word": (
        ("    forwarding: proxy\n", "    forwarding: proxy\n    behind-proxies: true\n"),
        [f"warning {W}.behind-proxies: Whoever can reach this VIP"],
    ),
    "at layer 4": (
        ("application: http\n    forwarding: proxy", "application: http\n    forwarding: snat"),
        [
            f"error {W}.proxy-timeouts: 'proxy-timeouts' needs layer 7",
            f"error {W}.limits: 'limits' needs layer 7",
        ],
    ),
}


def test_the_sound_document_has_no_problem() -> None:
    assert problems(text=SOUND) == []


@pytest.mark.parametrize("case", CASES)
def test_rule(case: str) -> None:
    change, expected = CASES[case]
    found = problems(change, text=SOUND)
    assert len(found) == len(expected), found
    assert all(any(f.startswith(e) for f in found) for e in expected), found
