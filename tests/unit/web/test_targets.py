"""Which request targets are looked at at all."""

from __future__ import annotations

import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willis.web.targets import LONGEST, refused

_NAME = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=20)


@pytest.mark.parametrize(
    "target",
    [
        b"/api/v1/..;/status",
        b"/api/v1/;x/status",
        b"/api/v1//status",
        b"//api/v1/status",
        b"/api/v1/./status",
        b"/api/v1/../v1/status",
        b"/api/v1/..",
        b"/api/v1/status/",
        b"/api/v1/%2e%2e/status",
        b"/api/v1/a%2fb",
        b"/api/v1/a%2Fb",
        b"/api/v1/a%5cb",
        b"/api/v1/a\\b",
        b"/api/v1/a%00",
        b"/api/v1/a%0d%0ab",
        b"/api/v1/a%252fb",
        b"/api/v1/a%25%32%66b",
        b"/api/v1/a%3bb",
        b"/api/v1/a%c0%afb",
        b"/api/v1/a%ff",
        b"/api/v1/a%2",
        b"/api/v1/a%zz",
        b"/api/v1/a#b",
        b"/api/v1/a b",
        b"/api/v1/a\x00",
        b"/api/v1/a\xc3\xa9",
        b"http://node/api/v1/status",
        b"*",
        b"",
        b"/api/v1/status?" + b"x" * LONGEST,
    ],
)
def test_a_path_with_a_second_meaning_is_refused(target: bytes) -> None:
    assert refused(target)


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"/api/v1/status",
        b"/api/v1/explain/DicomRouting/vna1",
        b"/api/v1/services/X:drain",
        b"/api/v1/sessions/A?client=198.51.100.7",
        b"/api/v1/status?next=/a/../b;c%2f%00",
        b"/api/v1/users/M%C3%BCller",
        b"/api/v1/logs/a...b",
    ],
)
def test_a_path_of_ours_passes(target: bytes) -> None:
    assert refused(target) is None


@given(st.lists(_NAME, min_size=1, max_size=6))
def test_names_always_pass(segments: list[str]) -> None:
    assert refused(("/" + "/".join(map(quote, segments))).encode()) is None


@given(st.binary(max_size=60))
def test_no_bytes_are_too_strange(target: bytes) -> None:
    if refused(target) is None:
        path = target.partition(b"?")[0]
        assert path.startswith(b"/")
        assert not any(
            bad in path for bad in (b"//", b"/./", b"/../", b";", b"\\", b"\0", b"#", b"%2f", b"%25")
        )


@given(
    _NAME, st.sampled_from([b"/", b"\\", b"\0", b";", b".", b"%", b"\r", b"\n", b"\x7f"]), st.integers(1, 4)
)
def test_nothing_dangerous_passes_encoded_however_often(name: str, byte: bytes, times: int) -> None:
    encoded = f"%{byte[0]:02x}"
    for _ in range(times - 1):
        encoded = encoded.replace("%", "%25")
    assert refused(f"/api/v1/{name}{encoded}".encode())
