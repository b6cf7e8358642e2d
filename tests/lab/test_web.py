"""Layer 7: cookies keep a browser on its server, and applies under load fail no request."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.lab.drill import DRILLS, Drill, wait_until

pytestmark = pytest.mark.lab

URL = "http://10.60.0.114:8237/"
_HOST = re.compile(r'<b id="host">(\w+)</b>')


def _visit(drill: Drill, jar: Path) -> str:
    page = drill.run("client1", "curl", "-sSf", "-b", str(jar), "-c", str(jar), URL)
    found = _HOST.search(page)
    assert found is not None
    return found[1]


def test_the_cookie_keeps_a_browser_until_its_server_dies(canon: Drill, tmp_path: Path) -> None:
    jar = tmp_path / "jar"
    home = _visit(canon, jar)
    assert {_visit(canon, jar) for _ in range(20)} == {home}
    others = {_visit(canon, tmp_path / f"jar{n}") for n in range(9)}
    assert others == {"vna1", "vna2", "vna3"}
    canon.lab("kill", home, "http")
    try:
        wait_until(lambda: canon.verdicts("VitreaRead")[home] == "dead", f"{home} is dead")
        moved = _visit(canon, jar)
        assert moved != home
        assert {_visit(canon, jar) for _ in range(5)} == {moved}
    finally:
        canon.lab("restore", home, "http")
    wait_until(lambda: canon.verdicts("VitreaRead")[home] == "up", f"{home} is back")


def test_fifty_applies_under_load_fail_no_request(canon: Drill) -> None:
    document = canon.document()
    load = canon.start("client1", sys.executable, str(DRILLS / "load.py"), "10.60.0.114", "8237")
    try:
        for number in range(50):
            canon.apply(_changed(document, number))
        output, _ = load.communicate("", timeout=60)
    finally:
        load.kill()
        canon.apply(document)
    done, failed = map(int, output.split()[-2:])
    assert failed == 0, output
    assert done > 100


def _changed(document: str, number: int) -> str:
    """Another check interval and other weights each time; every tenth one needs a reload."""
    changed = document.replace("interval: 1s", f"interval: {1000 + number}ms", 1)
    assert changed != document
    return (
        changed.replace("kind: cookie", f"kind: cookie, idle: {30 + number}m")
        if number % 10 == 9
        else changed
    )
