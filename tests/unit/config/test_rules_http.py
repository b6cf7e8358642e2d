"""Rules about HTTP: one change to a sound document, exactly one problem."""

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
    ports: 443
    application: http
    forwarding: proxy
    tls: {certificates: pacs}
    persistence: {kind: cookie}
    http:
      https-from: 80
      hsts: 180d
      rules:
        - {do: use-pool, service: Archive, when: {path-begins: /archive/}}
        - {do: redirect, to: /start, status: 301, when: {paths: /}}
        - {do: rewrite-path, matches: "^/a/(.*)", to: '/b/\\1'}
    pool: [{host: a, port: 8080}]
  Archive:
    vip: 10.60.0.101
    application: http
    forwarding: proxy
    pool: [{host: a, port: 8081}]
"""
W = "services.Web"

CASES = {
    "http on another protocol": (
        ("ports: 443\n    application: http", "ports: 443\n    application: generic"),
        [
            f"error {W}.http: These keys are for HTTP",
            f"error {W}.persistence.kind: A cookie or header needs HTTP",
            f"error {W}.http.rules[0].service: Archive is no proxy service for generic",
        ],
    ),
    "https without tls": (
        ("    tls: {certificates: pacs}\n", ""),
        [
            f"error {W}.http.https-from: Browsers would be sent to HTTPS",
            f"error {W}.http.hsts: Browsers would be sent to HTTPS",
        ],
    ),
    "https from its own port": (
        ("https-from: 80", "https-from: [80, 443]"),
        [f"error {W}.http.https-from[1]: Port 443 is also one of the service's own ports"],
    ),
    "https from another's port": (
        (
            "application: http\n    forwarding: proxy\n    pool: [{host: a, port: 8081}]",
            "ports: 80\n    application: http\n    forwarding: proxy\n    pool: [{host: a, port: 8081}]",
        ),
        [f"error {W}.http.https-from: Port 80 of 10.60.0.101 already belongs to Archive"],
    ),
    "secure without tls": (
        (
            "pool: [{host: a, port: 8081}]",
            "persistence: {kind: cookie, secure: true}\n    pool: [{host: a, port: 8081}]",
        ),
        ["error services.Archive.persistence.secure: Browsers send this cookie over TLS only"],
    ),
    "idle of another's cookie": (
        ("{kind: cookie}", "{kind: cookie, mode: prefix, idle: 1m}"),
        [f"error {W}.persistence.idle: 'idle' is for a cookie of the proxy's own"],
    ),
    "no redirect": (
        ("status: 301", "status: 304"),
        [f"error {W}.http.rules[1].status: 304 sends no browser"],
    ),
    "no expression": (
        ('"^/a/(.*)"', '"^/a/(.*"'),
        [f"error {W}.http.rules[2].matches: The expression cannot"],
    ),
    "an expression that is endless": (
        ('"^/a/(.*)"', '"^/a{99999999999}"'),
        [f"error {W}.http.rules[2].matches: The expression cannot be read: the repetition"],
    ),
    "paths that are never met": (
        ("{path-begins: /archive/}", "{path-begins: [/archive/, //a], paths: /b;v=1}"),
        [
            f"error {W}.http.rules[0].when.path-begins[1]: No path is like //a",
            f"error {W}.http.rules[0].when.paths: No path is like /b;v=1",
        ],
    ),
    "framing": (
        (
            "{do: redirect, to: /start, status: 301, when: {paths: /}}",
            "{do: delete-header, name: Content-Length}",
        ),
        [f"error {W}.http.rules[1].name: Content-Length belongs to the connection"],
    ),
    "no such pool": (
        ("service: Archive", "service: Archives"),
        [
            f"error {W}.http.rules[0].service: There is no service 'Archives'",
            "warning services.Archive: It has no ports, and no rule",
        ],
    ),
    "its own pool": (
        ("service: Archive", "service: Web"),
        [
            f"error {W}.http.rules[0].service: The service's own pool serves anyway",
            "warning services.Archive: It has no ports, and no rule",
        ],
    ),
}


def test_the_sound_document_has_no_problem() -> None:
    assert problems(text=SOUND) == []


@pytest.mark.parametrize("case", CASES)
def test_rule(case: str) -> None:
    (old, new), expected = CASES[case]
    assert old in SOUND
    found = problems((old, new), text=SOUND)
    assert len(found) == len(expected), found
    assert all(any(f.startswith(e) for f in found) for e in expected), found


def test_an_expression_of_pcre_is_taken_without_a_word(recwarn: pytest.WarningsRecorder) -> None:
    assert problems(('"^/a/(.*)"', '"^/a/([[:digit:]]+)"'), text=SOUND) == []
    assert list(recwarn) == []
