"""Stick tables, as HAProxy 2.6 and 3.0 report them."""

from __future__ import annotations

from pathlib import Path

import pytest

from willis.engines.haproxy import ties

GOLDEN = Path(__file__).parents[3] / "golden" / "haproxy"
REPORT = """\
# table: Dicom, type: ip, size:102400, used:2
0x5581e0c3f2a0: key=10.1.2.0 use=0 exp=299321 shard=0 server_id=2 server_key=vna2
0x5581e0c3f1a0: key=10.1.1.0 use=0 exp=1500 server_id=1 server_key=vna1
"""


@pytest.mark.parametrize(
    ("case", "service", "table"),
    [
        ("tcp", "Dicom", ties.Table("Dicom", 32)),
        ("tcp", "Hl7", None),
        ("tcp", "Nobody", None),
        ("tcp-persistence", "Titles", ties.Table("source:Titles", 24)),
        ("tcp-persistence", "Called", None),
    ],
)
def test_the_table_of_a_service_stands_in_the_text(case: str, service: str, table: ties.Table | None) -> None:
    assert ties.table((GOLDEN / case / "haproxy.cfg").read_text(), service) == table


def test_a_table_lists_its_clients_in_order() -> None:
    found = [(str(c.network), c.host, c.seconds_left) for c in ties.clients(REPORT, 24)]
    assert found == [("10.1.1.0/24", "vna1", 1.5), ("10.1.2.0/24", "vna2", 299.321)]
