"""Rules about certificates that are ordered: one change to a sound document, exactly one problem."""

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
acme:
  directory: https://ca.example.org/acme/directory
  certificates:
    - name: pacs
      domains: [pacs.example.org, ris.example.org]
services:
  Web:
    vip: 10.60.0.101
    ports: 443
    application: http
    forwarding: proxy
    tls: {certificates: pacs}
    pool: [{host: a, port: 8080}]
"""
CERTIFICATES = "acme.certificates"
OTHER = """
  Other:
    vip: 10.60.0.101
    ports: 80
    application: generic
    forwarding: proxy
    pool: [{host: a, port: 8081}]
  Web:"""

CASES = {
    "ordered twice": (
        ("ris.example.org]\n", "ris.example.org]\n    - name: pacs\n      domains: [a.example.org]\n"),
        f"error {CERTIFICATES}[1].name: The certificate pacs is ordered twice",
    ),
    "a domain twice": (
        ("ris.example.org]", "Pacs.example.org]"),
        f"error {CERTIFICATES}[0].domains[1]: The domain Pacs.example.org stands twice",
    ),
    "a wildcard": (
        ("ris.example.org]", '"*.example.org"]'),
        f"error {CERTIFICATES}[0].domains[1]: HTTP-01 cannot prove the wildcard *.example.org",
    ),
    "no domain": (
        ("ris.example.org]", "ris]"),
        f"error {CERTIFICATES}[0].domains[1]: ris is no full host name",
    ),
    "an address": (
        ("ris.example.org]", '"10.60.0.101"]'),
        f"error {CERTIFICATES}[0].domains[1]: 10.60.0.101 is no full host name",
    ),
    "nobody uses it": (
        ("certificates: pacs", "certificates: other"),
        f"warning {CERTIFICATES}[0].name: No service uses the certificate pacs",
    ),
    "port 80 cannot answer": (
        ("\n  Web:", OTHER),
        "warning services.Web.tls.certificates: The authority will ask on port 80 of 10.60.0.101, where",
    ),
}


def test_the_sound_document_is_sound() -> None:
    assert problems(text=SOUND) == []


@pytest.mark.parametrize("case", CASES)
def test_rule(case: str) -> None:
    change, expected = CASES[case]
    found = problems(change, text=SOUND)
    assert len(found) == 1, found
    assert found[0].startswith(expected)
