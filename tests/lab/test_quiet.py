"""A half-open look leaves no trace at a server, even if the node stands still in the middle of it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.lab


def test_no_server_accepts_or_logs_a_look_that_was_held_up() -> None:
    words = ["unshare", "--net", sys.executable, "-m", "tests.lab.standstill"]
    found = json.loads(subprocess.run(words, check=True, capture_output=True, text=True, timeout=120).stdout)
    assert found["settled"], "the rule is known again"
    backed, bare = found["backed"], found["bare"]
    assert (backed["accepted"], backed["logged"]) == (0, False)
    assert (bare["accepted"], bare["logged"]) == (1, True), "without the rule it would be seen"
    for each in (backed, bare):
        assert each["open"] == "accepts connections"
        assert "refused" in each["shut"]
    assert found["gone"]
