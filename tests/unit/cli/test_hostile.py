"""Texts of others and odd arguments: nothing steers the terminal, nothing ends in a traceback."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from willis.cli import show
from willis.cli.main import app

_REVISION = {"revision": 1, "state": "running", "at": 0.0, "note": ""}


@pytest.mark.parametrize("escape", ["\x1b[2J", "\x9b2J", "\u202e", "\x07", "\ud800", "\x00", "[/]", "[red]"])
def test_what_others_wrote_does_not_steer_the_terminal(escape: str) -> None:
    rows = [_REVISION | {"author": f"ann{escape}", "reason": f"why{escape}not"}]
    with show.out.capture() as shown:
        show.show_history({"revisions": rows})
    text = shown.get()
    assert "why" in text and "not" in text
    assert all(c.isprintable() or c == "\n" for c in text)


@pytest.mark.parametrize("text", ["x\n", "\x1b[2J", "\udcff", "\u202e", "$(x)", "x" * 9000, "../x", "%0a"])
def test_no_argument_ends_in_a_traceback(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WILLIS_SOCKET", "/nowhere/engine.sock")
    for words in (["status", text], ["drain", text]):
        done = CliRunner().invoke(app, words, obj=lambda: None)
        assert isinstance(done.exception, SystemExit), words
        assert done.exit_code in (1, 2, 3)
