"""HL7: a thousand messages through HL7Live with a server killed in the middle; none is lost."""

from __future__ import annotations

import sys

import pytest

from tests.lab.drill import DRILLS, Drill, wait_until

pytestmark = pytest.mark.lab

MESSAGES = 1000


def test_every_message_is_acknowledged_though_its_server_is_killed(canon: Drill) -> None:
    before = len(canon.ledger("HL7Live"))
    sender = canon.start(
        "client1", sys.executable, str(DRILLS / "mllp_sender.py"), "10.60.0.103", "2398", str(MESSAGES)
    )
    try:
        wait_until(lambda: len(_messages(canon, before)) > MESSAGES // 4, "a quarter has arrived")
        home = _messages(canon, before)[-1]["host"]
        canon.lab("kill", home, "hl7")
        sent = len(_messages(canon, before))
        wait_until(lambda: len(_messages(canon, before)) > sent + MESSAGES // 4, "another server takes them")
        output, _ = sender.communicate("", timeout=180)
        assert sender.returncode == 0, output
    finally:
        sender.kill()
        canon.lab("restore", home, "hl7")
    acknowledged = [line.split()[1] for line in output.splitlines() if line.startswith("ack ")]
    assert len(acknowledged) == len(set(acknowledged)) >= MESSAGES
    assert set(acknowledged) == {entry["control"] for entry in _messages(canon, before)}
    assert "reconnect" in output
    wait_until(lambda: canon.verdicts("HL7Live")[home] == "up", f"{home} is back")


def _messages(drill: Drill, since: int) -> list[dict[str, str]]:
    return [entry for entry in drill.ledger("HL7Live")[since:] if "control" in entry]
