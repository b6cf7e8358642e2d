"""Hosts, origins, headers, cookies and buckets: what is let in, passed on and set."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willis.web import cookies
from willis.web.buckets import Buckets, Proved
from willis.web.headers import secured, towards_client, towards_engine
from willis.web.hosts import allowed, meant
from willis.web.options import Unfit, read
from willis.web.origin import forged
from willis.web.privileges import leftover
from willis.web.server import Settings

NAMES = frozenset({"lb1", "lb1.hospital.example", "203.0.113.5"})


@pytest.mark.parametrize(
    ("host", "local", "is_meant"),
    [
        ("lb1:8443", "10.0.0.2", True),
        ("LB1.Hospital.Example.", "10.0.0.2", True),
        ("10.0.0.2:8443", "10.0.0.2", True),
        ("10.0.0.2", "::ffff:10.0.0.2", True),
        ("[2001:db8::2]:8443", "2001:db8::2", True),
        ("203.0.113.5:443", "10.0.0.2", True),
        ("10.0.0.3", "10.0.0.2", False),
        ("evil.example", "10.0.0.2", False),
        ("lb1.evil.example", "10.0.0.2", False),
        ("lb1@evil.example", "10.0.0.2", False),
        ("lb1:8443\n", "10.0.0.2", False),
        ("", "10.0.0.2", False),
    ],
)
def test_only_names_of_the_node_and_the_address_connected_to_are_meant(
    host: str, local: str, is_meant: bool
) -> None:
    assert meant(host, NAMES, local) is is_meant


def test_networks() -> None:
    ours = (ip_network("10.60.0.0/24"), ip_network("2001:db8::/64"))
    assert allowed("10.60.0.9", ours)
    assert allowed("::ffff:10.60.0.9", ours)
    assert allowed("2001:db8::9", ours)
    assert not allowed("10.61.0.9", ours)
    assert not allowed("nonsense", ours)
    assert allowed("10.61.0.9", ())


_HOST = {"host": "lb1:8443"}


@pytest.mark.parametrize(
    ("headers", "cookie", "is_forged"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"origin": "https://lb1:8443"}, True, False),
        ({"origin": "https://LB1:8443"}, True, False),
        ({"origin": "http://lb1:8443"}, True, True),
        ({"origin": "https://lb1"}, True, True),
        ({"origin": "null"}, True, True),
        ({"origin": "https://evil.example"}, False, True),
        ({"sec-fetch-site": "same-origin"}, True, False),
        ({"sec-fetch-site": "none"}, True, False),
        ({"sec-fetch-site": "same-site"}, True, True),
        ({"sec-fetch-site": "cross-site"}, False, True),
        ({"sec-fetch-site": "same-origin", "origin": "https://evil.example"}, True, True),
        ({"origin": "https://evil.example", "authorization": "Bearer willis_x"}, False, False),
    ],
)
def test_a_foreign_page_changes_nothing(headers: dict[str, str], cookie: bool, is_forged: bool) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert (forged(method, _HOST | headers, cookie=cookie) is not None) is is_forged
    assert forged("GET", _HOST | headers, cookie=cookie) is None


def test_only_what_the_engine_understands_reaches_it() -> None:
    sent = [
        (b"X-Original-URL", b"/api/v1/users"),
        (b"X-Rewrite-URL", b"/api/v1/users"),
        (b"X-Forwarded-For", b"10.0.0.9"),
        (b"Forwarded", b"for=10.0.0.9"),
        (b"X-HTTP-Method-Override", b"DELETE"),
        (b"Willis-Client", b"127.0.0.1"),
        (b"Connection", b"authorization, if-match"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Cookie", b"__Host-willis=abc"),
        (b"Host", b"evil.example"),
        (b"Authorization", b"Bearer willis_x"),
        (b"If-Match", b'"e"'),
    ]
    assert towards_engine(sent, "198.51.100.7", "s" * 20) == [
        (b"authorization", b"Bearer willis_x"),
        (b"if-match", b'"e"'),
        (b"willis-client", b"198.51.100.7"),
    ]
    assert (b"authorization", b"Willis-Session abc") in towards_engine([], "198.51.100.7", "abc")


def test_no_cookie_of_the_engine_and_no_header_of_one_hop_comes_back() -> None:
    answer = [(b"Set-Cookie", b"x=y"), (b"Connection", b"close"), (b"ETag", b'"e"')]
    assert towards_client(answer) == [(b"etag", b'"e"')]


def test_every_answer_has_its_headers_once() -> None:
    found = dict(secured([(b"cache-control", b"public"), (b"etag", b'"e"')]))
    assert found[b"cache-control"] == b"no-store"
    assert b"frame-ancestors 'none'" in found[b"content-security-policy"]
    assert found[b"etag"] == b'"e"'


def test_cookies() -> None:
    made = cookies.session("A" * 43)
    assert made == f"__Host-willis={'A' * 43}; Path=/; Secure; HttpOnly; SameSite=Strict"
    assert cookies.read(f"a=b; __Host-willis={'A' * 43}", cookies.SESSION) == "A" * 43
    assert cookies.read("__Host-willis=short", cookies.SESSION) is None
    assert cookies.read(None, cookies.SESSION) is None
    with pytest.raises(ValueError, match="must not"):
        cookies.session("A" * 20 + "; Domain=evil.example")


@given(st.text(max_size=80))
def test_no_cookie_header_breaks_anything_or_yields_an_odd_value(header: str) -> None:
    found = cookies.read(header, cookies.SESSION)
    assert found is None or found.replace(".", "").replace("_", "").replace("-", "").isalnum()


def test_a_bucket_runs_dry_and_fills_again() -> None:
    buckets = Buckets(burst=3, per_second=1.0)
    for _ in range(3):
        assert buckets.wait("198.51.100.7", 0) == 0
        buckets.take("198.51.100.7", 0)
    assert buckets.wait("198.51.100.7", 0) == pytest.approx(1.0)
    assert buckets.wait("198.51.100.8", 0) == 0
    assert buckets.wait("198.51.100.7", 1.5) == 0


def test_one_machines_ipv6_addresses_share_a_bucket_and_memory_is_bounded() -> None:
    buckets = Buckets(burst=1, per_second=1.0, most=10)
    buckets.take("2001:db8::1", 0)
    assert buckets.wait("2001:db8::2", 0) > 0
    assert buckets.wait("2001:db8:0:1::1", 0) == 0
    for number in range(100):
        buckets.take(f"198.51.100.{number}", 0)
    assert len(buckets._buckets) == 10
    proved = Proved(most=2)
    for credential in ("a", "b", "a", "c"):
        proved.add(credential)
    assert [each in proved for each in "abc"] == [True, False, True]
    proved.discard("a")
    assert "a" not in proved


@given(st.lists(st.floats(0, 100), max_size=60).map(sorted))
def test_no_more_passes_than_burst_and_refill_allow(times: list[float]) -> None:
    buckets = Buckets(burst=5, per_second=0.5)
    passed = []
    for now in times:
        if buckets.wait("198.51.100.7", now) == 0:
            buckets.take("198.51.100.7", now)
            passed.append(now)
    for begin, first in enumerate(passed):
        for end, last in enumerate(passed[begin:], begin):
            assert end - begin + 1 <= 5 + 0.5 * (last - first) + 1 + 1e-6


def _read(**changes: object) -> Settings:
    given_: dict[str, object] = {
        "listen": ["10.60.0.2:8443", "[::1]:443"],
        "names": ["lb1.example"],
        "networks": ["10.60.0.0/24"],
        "certificate": None,
        "key": None,
        "run": None,
        "state": None,
        "user": "willis-web",
    }
    return read(**(given_ | changes))  # type: ignore[arg-type]


def test_options() -> None:
    assert _read().listen == (("10.60.0.2", 8443), ("::1", 443))
    for bad in (
        {"listen": ["lb1:8443"]},
        {"listen": ["10.60.0.2"]},
        {"listen": ["10.60.0.2:70000"]},
        {"names": ["a b"]},
        {"networks": ["10.60.0.5/24"]},
        {"key": "x"},
    ):
        with pytest.raises(Unfit):
            _read(**bad)


_STATUS = """Name:\tpython
Uid:\t{uid}\t{uid}\t{uid}\t{uid}
Gid:\t99\t99\t99\t99
Groups:\t{groups}
NoNewPrivs:\t{new}
CapInh:\t0000000000000000
CapPrm:\t{caps}
CapEff:\t{caps}
CapAmb:\t0000000000000000
"""


def test_rights_that_are_left_are_seen() -> None:
    zero = "0" * 16
    assert leftover(_STATUS.format(uid=99, groups="", new=1, caps=zero)) == []
    assert leftover(_STATUS.format(uid=0, groups="0", new=0, caps="0000000000000400")) == [
        "CapPrm",
        "CapEff",
        "uid 0",
        "gid 0",
        "new privileges",
    ]
