"""Rules about transparent services."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address

from tests.builders import site, web
from willis.config.rules_transparent import TRANSPARENT_RULES, TRANSPARENT_SITE_RULES
from willis.model.service import RealServer, VirtualService


def _told(service: VirtualService) -> list[str]:
    config = site(service)
    faults = [f for rule in TRANSPARENT_RULES for f in rule(service)]
    faults += [f for rule in TRANSPARENT_SITE_RULES for f in rule(config)]
    return [f"{f.severity}: {f.what} {f.remedy}" for f in faults]


def test_a_plain_service_is_not_spoken_of() -> None:
    assert _told(web()) == []


def test_the_gateway_and_the_shared_subnet_are_told() -> None:
    gateway, subnet = _told(replace(web(), transparent=True))
    assert "must return through the node" in gateway
    assert "their default gateway" in gateway
    assert "keep clients out of that subnet" in subnet.lower()


def test_another_family_is_refused() -> None:
    mixed = replace(web(), transparent=True, pool=(RealServer("six", IPv6Address("2001:db8::11")),))
    assert "cannot see the IPv4 address" in _told(mixed)[0]
    assert _told(mixed)[0].startswith("error")
