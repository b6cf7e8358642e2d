"""``willis changeset`` at an engine: what it prints, and how it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.api.test_api import Site
from tests.api.test_entries import DOCUMENT
from willis.__main__ import app
from willis.cli import main
from willis.cli.client import Client, Json, _refusal

MWL = "{vip: 10.60.0.102, ports: 105, forwarding: dr, pool: [vna1, vna2]}\n"


class Wired(Client):
    """Asks a site in this process."""

    def __init__(self, loop: asyncio.AbstractEventLoop, site: Site) -> None:
        super().__init__(Path("nowhere"))
        self._loop, self._site = loop, site

    def _ask(self, method: str, route: str, body: Json | None, **more: Any) -> Json:
        answer = self._loop.run_until_complete(
            self._site.http.request(method, route.removeprefix("/"), json=body, **more)
        )
        if not answer.is_success:
            raise _refusal(answer)
        content: Json = answer.json()
        return content


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    loop = asyncio.new_event_loop()
    found = Site(tmp_path)
    monkeypatch.setattr(main, "Client", lambda _: Wired(loop, found))
    assert run("apply", "-", stdin=DOCUMENT).exit_code == 0
    yield
    loop.run_until_complete(found.http.aclose())
    loop.run_until_complete(found.controller.close())
    loop.close()


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin, obj=lambda: None)


def answer(*arguments: str, stdin: str | None = None) -> Any:
    found = run(*arguments, "--json", stdin=stdin)
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


@pytest.mark.usefixtures("site")
def test_from_the_first_edit_to_the_history() -> None:
    assert answer("changeset", "new", "--reason", "vna3 joins")["changeset"] == 1
    shown = run("changeset", "set", "1", "service", "Mwl", "-", stdin=MWL.replace("vna2", "vna3"))
    assert shown.exit_code == 0
    assert "~ services.Mwl" in shown.stdout
    assert "services.Mwl.pool[1]" in shown.stderr
    assert run("changeset", "plan", "1").exit_code == 1
    assert "+ hosts.vna3" in run("changeset", "set", "1", "host", "vna3", "-", stdin="10.60.0.13").stdout
    assert "- hosts.vna2" in run("changeset", "remove", "1", "host", "vna2").stdout
    assert run("changeset", "set", "1", "host", "vna2", "-", stdin="10.60.0.12").exit_code == 0
    checksum = answer("changeset", "plan", "1")["checksum"]
    assert run("changeset", "apply", "1", "--checksum", "other").exit_code == 1
    assert answer("changeset", "list")["changesets"][0]["staged"] == 2
    assert "vna3 joins" in run("changeset", "list").stdout
    assert answer("changeset", "apply", "1", "--checksum", checksum, "--confirm", "60s")["revision"] == 2
    assert answer("confirm")["revision"] == 2
    assert answer("history")["revisions"][0]["reason"] == "vna3 joins"
    gone = run("changeset", "show", "1")
    assert (gone.exit_code, "no change set 1" in gone.stderr) == (1, True)


@pytest.mark.usefixtures("site")
def test_a_conflict_is_shown_with_both_sides_and_decided_by_who_saw_it() -> None:
    run("changeset", "new")
    run("changeset", "set", "1", "service", "Mwl", "-", stdin=MWL)
    run("apply", "-", stdin=DOCUMENT.replace("105", "106"))
    shown = run("changeset", "show", "1").stdout
    assert "services.Mwl was changed by" in shown
    assert "ports: 106" in shown
    again = run("changeset", "set", "1", "service", "Mwl", "-", stdin=MWL)
    assert (again.exit_code, "others changed Mwl too" in again.stderr) == (1, True)
    etag = answer("changeset", "show", "1")["etag"]
    decided = answer("changeset", "set", "1", "service", "Mwl", "-", "--if-match", etag, stdin=MWL)
    assert decided["conflicts"] == []
    assert run("changeset", "apply", "1").exit_code == 0
    assert "ports: 105" in run("service", "show", "Mwl").stdout


@pytest.mark.usefixtures("site")
def test_one_is_begun_on_what_was_read_and_discarded() -> None:
    etag = answer("config", "show")["etag"]
    assert answer("changeset", "new", "--if-match", etag)["base_etag"] == etag
    assert run("changeset", "new", "--if-match", "other").exit_code == 1
    assert run("changeset", "discard", "1").exit_code == 0
    assert answer("changeset", "list") == {"changesets": [], "next_cursor": None}
    assert run("changeset", "set", "1", "vip", "Mwl", "-").exit_code == 2
