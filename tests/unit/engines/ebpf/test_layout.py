"""The layouts are those of bpf/willis_l4.h, and what is packed comes back."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willis.engines.ebpf import layout

SIZES = {
    "SERVICE_KEY": 20, "SERVICE": 40, "MEMBER": 28, "LOAD": 24, "FLOW_KEY": 40, "FLOW": 24,
    "CLIENT_KEY": 20, "CLIENT": 8, "COUNTS": 40, "LINK": 8, "HEARTBEAT": 8, "CENSUS": 80,
    "SERVICE_LABEL": 68, "MEMBER_LABEL": 104, "SWEEP_ARGS": 64, "TIMEOUTS": 24, "TABLE_ARGS": 72,
}  # fmt: skip


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_sizes(name: str, size: int) -> None:
    assert getattr(layout, name).size == size


def test_sizes_rise_with_the_layout() -> None:
    """Whoever changes a size above also changes this name: pinned maps of the old layout must not be read."""
    assert layout.LAYOUT == "v3"


@given(st.ip_addresses())
def test_addresses_come_back(address: IPv4Address | IPv6Address) -> None:
    if address.version == 6 and address.ipv4_mapped:
        return
    assert layout.unpack_address(layout.pack_address(address)) == address


@given(st.integers(1, 32))
def test_ipv4_masks_look_at_the_client_alone(prefix: int) -> None:
    mask = layout.pack_mask(prefix, 4)
    assert layout.unpack_mask(mask, 4) == prefix
    assert mask[:12] == b"\xff" * 12


@given(st.integers(1, 128))
def test_ipv6_masks_come_back(prefix: int) -> None:
    assert layout.unpack_mask(layout.pack_mask(prefix, 6), 6) == prefix


@given(st.integers(1, 86_400))
def test_seconds_come_back_and_are_never_shortened(seconds: int) -> None:
    assert layout.seconds(layout.ticks(seconds)) == seconds
    assert 0 <= layout.ticks(seconds) * layout.TICK_NS - seconds * 10**9 < layout.TICK_NS


def test_ipv4_is_mapped() -> None:
    assert layout.pack_address(ip_address("10.60.0.1")).hex() == "00000000000000000000ffff0a3c0001"
