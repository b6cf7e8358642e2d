"""The oldest connection of each server, by HAProxy's words."""

from __future__ import annotations

from willis.engines.haproxy.ages import longest
from willis.engines.haproxy.state import FALLBACK

ONE = (
    "0x55d0a: proto=tcpv4 src=10.60.0.31:4000 fe=Feed be=Feed srv=vna1 ts=00 epoch=0 age=3h5m calls=5\n"
    "0x55d0b: proto=tcpv6 src=2001:db8::31:4000 fe=Feed be=Feed srv=vna1 ts=00 age=59s calls=5\n"
    f"0x55d0d: proto=tcpv4 src=10.60.0.32:4000 fe=Feed be=Feed srv={FALLBACK}vna9 ts=00 age=1m2s calls=5\n"
    "0x55d0c: proto=unix_stream src=unix:1 fe=GLOBAL be=<NONE> srv=<none> ts=00 epoch=0 age=9s calls=2\n"
)
OLD = "0x55d0a: proto=tcpv4 src=10.60.0.31:4000 fe=Feed be=Feed srv=vna1 ts=00 epoch=0 age=2d4h calls=5\n"


def test_the_oldest_of_all_workers_counts() -> None:
    assert longest([ONE]) == {("Feed", "vna1"): 3 * 3600 + 5 * 60, ("Feed", "vna9"): 62}
    assert longest([ONE, OLD])["Feed", "vna1"] == 2 * 86_400 + 4 * 3600
    assert longest([]) == {}
