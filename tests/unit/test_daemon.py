"""Where ``willis engine`` keeps its things: settled before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from willis import daemon
from willis.daemon import Layer4, Places, StartError


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Places]:
    """The places of engines that were started, from ``tmp_path``, without starting one."""
    found: list[Places] = []

    async def note(node: str, places: Places, layer4: Layer4, web_user: str | None) -> None:
        found.append(places)

    monkeypatch.setattr(daemon, "_serve", note)
    monkeypatch.chdir(tmp_path)
    return found


def test_relative_directories_are_those_below_here(served: list[Places], tmp_path: Path) -> None:
    """HAProxy runs elsewhere, and its file names them."""
    daemon.run("lb1", Places(Path("run"), Path("state"), Path("bpf")), Layer4.HAPROXY)
    assert served == [Places(tmp_path / "run", tmp_path / "state", tmp_path / "bpf")]


@pytest.mark.parametrize("option", ["--run-dir", "--state-dir"])
def test_a_directory_that_haproxy_cannot_name_is_refused_at_the_start(
    served: list[Places], tmp_path: Path, option: str
) -> None:
    odd = tmp_path / "my node"
    run, state = (odd, tmp_path / "state") if option == "--run-dir" else (tmp_path / "run", odd)
    with pytest.raises(StartError, match=f"{option} is .*my node.*choose one with"):
        daemon.run("lb1", Places(run, state, tmp_path), Layer4.HAPROXY)
    assert served == []
    assert list(tmp_path.iterdir()) == [], "nothing was made"
