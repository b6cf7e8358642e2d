"""Which settings, and that only those may ever be written."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from tests.builders import ETH0, dr, nat, site, web
from willis.engines.kernel.compile import allowed, compile_settings
from willis.engines.kernel.ledger import Former, Ledger
from willis.engines.port import EngineError
from willis.model.status import Status


def test_direct_routing_and_the_proxy_need_nothing() -> None:
    assert compile_settings(site(dr(), web()), Status()) == {}


def test_translation_makes_the_node_a_router_that_keeps_its_clients() -> None:
    vlan = replace(ETH0, name="eth1.100")
    config = replace(site(nat()), interfaces=(ETH0, vlan))
    assert compile_settings(config, Status()) == {
        "sysctl/net.ipv4.ip_forward": "1",
        "sysctl/net.ipv4.conf.all.send_redirects": "0",
        "sysctl/net.ipv4.conf.eth0.send_redirects": "0",
        "sysctl/net.ipv4.conf.eth1/100.send_redirects": "0",
    }
    six = replace(config, services=(nat(vip=107),))
    six = replace(config, services=(replace(six.services[0], vip=IPv6Address("fd60::107")),))
    assert compile_settings(six, Status()) == {"sysctl/net.ipv6.conf.all.forwarding": "1"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kernel.core_pattern", "1"),
        ("net.ipv4.conf.../../../kernel.send_redirects", "0"),
        ("net.ipv4.conf.eth0.rp_filter", "0"),
        ("net.ipv4.ip_forward\n", "1"),
        ("net.ipv4.ip_forward", "1\n2"),
        ("net.ipv4.ip_forward", "|/bin/sh"),
    ],
)
def test_nothing_else_may_be_written(name: str, value: str) -> None:
    assert not allowed(name, value)


def test_every_compiled_setting_may_be_written() -> None:
    for key, value in compile_settings(site(nat()), Status()).items():
        assert allowed(key.partition("/")[2], value)


def test_the_ledger_keeps_and_forgets(tmp_path: Path) -> None:
    path = tmp_path / "kernel.json"
    former = {"net.ipv4.ip_forward": Former("0", {"net.ipv4.conf.eth0.forwarding": "1"})}
    Ledger(path).write(former)
    assert Ledger(path).read() == former
    path.write_text(path.read_text().replace('"where": "', '"where": "another boot '))
    assert Ledger(path).read() == {}
    path.write_text("{")
    with pytest.raises(EngineError, match="damaged"):
        Ledger(path).read()
