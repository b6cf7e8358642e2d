"""Where twins live, and what is refused there."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from willis.lab import places


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WILLIS_LAB_DIR", str(tmp_path))
    return tmp_path


def node_of(base: Path, name: str) -> socket.socket:
    path = places.socket_of(base / name)
    path.parent.mkdir(parents=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    return listener


def test_without_a_twin_there_is_no_socket(base: Path) -> None:
    assert places.find_twin_socket() is None


def test_a_base_that_does_not_exist_is_no_error(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WILLIS_LAB_DIR", str(base / "nowhere"))
    assert places.find_twin_socket() is None


def test_the_default_twin_comes_before_others(base: Path) -> None:
    with node_of(base, "another"):
        assert places.find_twin_socket() == ("another", base / "another/lb1/run/engine.sock")
        with node_of(base, "twin"):
            assert places.find_twin_socket() == ("twin", base / "twin/lb1/run/engine.sock")


@pytest.mark.parametrize("name", ["", "a-b", "../x", "x" * 17, "a\n"])
def test_names_that_cannot_be_a_twins_are_refused(base: Path, name: str) -> None:
    with pytest.raises(places.PlaceError, match="cannot name a twin"):
        places.twin_dir(name)


def test_private_directories_are_made_and_kept(base: Path) -> None:
    places.make_private(base / "a" / "b")
    places.make_private(base / "a" / "b")
    assert (base / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_a_planted_link_or_an_open_directory_is_refused(base: Path) -> None:
    (base / "link").symlink_to(base)
    with pytest.raises(places.PlaceError, match="it is a link"):
        places.make_private(base / "link")
    (base / "open").mkdir()
    (base / "open").chmod(0o777)
    with pytest.raises(places.PlaceError, match="others may write"):
        places.make_private(base / "open")


def test_what_was_planted_in_a_directory_for_everybody_is_refused(base: Path) -> None:
    (base / "tmp").mkdir()
    (base / "tmp").chmod(0o1777)
    (base / "tmp" / "willis").mkdir()
    (base / "tmp" / "willis").chmod(0o777)
    with pytest.raises(places.PlaceError, match="willis cannot hold a twin"):
        places.make_private(base / "tmp" / "willis" / "lab")
