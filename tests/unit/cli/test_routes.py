"""What a person types as a name stays a name: no command that takes one asks another route for it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import typer

from willis.cli import client, main
from willis.cli.client import Refusal, route

_TRIED = (
    "..",
    "a/../../users",
    "?",
    "a?confirm=no#b",
    "%2e%2e",
    "a%2fapply",
    "a\r\nHost: x",
    "\udcff",
    "{0}",
)
"""With every command."""
_PLAIN = "Name1"
_ELSEWHERE = {"web", "engine", "lab", "template"}
"""Groups and commands that ask no engine."""
_NAMES = {"name", "service", "where", "session", "kind"}
"""Arguments in which a person types a name."""
_OTHERS = {"changeset": "7", "what": "service"}


def _commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401
    """Every command that takes a name, with the words that call it."""
    for name, each in getattr(group, "commands", {}).items():
        if words or name not in _ELSEWHERE:
            yield from _commands(each, (*words, name))
    if any(p.name in _NAMES for p in _arguments(group)):
        yield words, group


def _arguments(command: Any) -> list[Any]:  # noqa: ANN401 - typer's own
    return [each for each in command.params if each.param_type_name == "argument"]


WILLIS: Any = typer.main.get_command(main.app)
COMMANDS = dict(_commands(WILLIS))


def _asked(words: tuple[str, ...], name: str, file: Path, patch: pytest.MonkeyPatch) -> list[str]:
    """What reaches the wire if a person types that command and name."""
    values = []
    for each in _arguments(COMMANDS[words]):
        named = f"{name}/{name}" if each.name == "where" else name
        values.append(named if each.name in _NAMES else _OTHERS.get(each.name, str(file)))
    options = ["--domain", "a.example"] if words[-1] == "request" else []
    return _typed([*words, *options, "--", *values], patch)


def _typed(words: list[str], patch: pytest.MonkeyPatch) -> list[str]:
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(f"{request.method} {request.url.raw_path.decode('ascii')}")
        answer = {"etag": "e", "session": "s", "conflicts": [], "edits": []}
        return httpx.Response(200, json=answer)

    def connection(*_: object) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(answer), base_url="http://engine")

    patch.setattr(client, "_connection", connection)
    patch.setattr("sys.stdin", io.StringIO("x\n" * 5))
    with suppress(Exception, SystemExit):  # no real answer, so nothing to show
        WILLIS.main(words, standalone_mode=False, obj=lambda: None)
    return sent


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_name_stays_one(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each request is the one of a plain name, with the other name in its place."""
    file = tmp_path / "file"
    file.write_text("{}")
    plain = _asked(words, _PLAIN, file, monkeypatch)
    for name in _TRIED:
        sent = _asked(words, name, file, monkeypatch)
        wanted = {each.replace(_PLAIN, quote(name, safe="", errors="replace")) for each in plain}
        assert set(sent) <= wanted, name


def test_names_are_in_routes() -> None:
    """So the test above sees what it is about."""
    assert len(COMMANDS) > 30
    with pytest.MonkeyPatch.context() as patch:
        assert _asked(("service", "show"), "a?b", Path(), patch) == ["GET /api/v1/services/a%3Fb"]
        assert _asked(("check",), "a", Path(), patch) == ["POST /api/v1/check/a/a"]
        assert _asked(("service", "show"), "a/b", Path(), patch) == []


@pytest.mark.parametrize(
    ("user", "query"), [("", "user="), ("anna&x=1", "user=anna%26x%3D1"), ("a#b", "user=a%23b")]
)
def test_ending_the_sessions_of_one_never_ends_those_of_all(
    user: str, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = _typed(["login-sessions", "end", "--user", user], monkeypatch)
    assert sent == [f"DELETE /api/v1/user-sessions?{query}"]


@pytest.mark.parametrize("name", ["", ".", "..", "/", "a/b", "a\n", "\x00", "\udcff"])
def test_what_cannot_be_a_name_is_refused(name: str) -> None:
    with pytest.raises(Refusal, match="is no name"):
        route("/services/{}", name)


def test_all_else_is_quoted() -> None:
    assert route("/services/{}", "a?b#c%2F{}") == "/services/a%3Fb%23c%252F%7B%7D"
    assert route("/check/{}/{}", "MWL", "ris") == "/check/MWL/ris"
