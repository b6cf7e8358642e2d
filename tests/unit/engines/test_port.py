"""What every engine shares."""

from __future__ import annotations

from willis.engines.port import Traffic


def test_two_engines_complete_each_other_s_counts() -> None:
    requests = Traffic(active=2, total=9, bytes_in=100)
    replies = Traffic(bytes_out=50)
    assert requests + replies == replies + requests == Traffic(2, 9, 100, 50)
    assert (requests + requests).bytes_out is None
