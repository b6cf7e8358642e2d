"""``willis service`` and ``willis host``: one entry of the running document; ``willis config``: all of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from willis.cli import show
from willis.cli.client import Client, Refusal, route
from willis.config.read import read
from willis.config.splice import say

AsJson = Annotated[bool, typer.Option("--json", help="Print the answer for programs")]
Name = Annotated[str, typer.Argument(help="Its name")]
File = Annotated[Path, typer.Argument(help="Its keys in YAML or JSON; '-' reads standard input")]
IfMatch = Annotated[
    str | None, typer.Option(help="Only if the document is still this one (its etag); else the one of now")
]
Reason = Annotated[str, typer.Option(help="Why, for the history")]
Confirm = Annotated[str | None, typer.Option(help="Time to confirm it, else it is undone: 120s, 10m")]
Force = Annotated[bool, typer.Option("--force", help="Although the guard refuses")]
Asking = Callable[[typer.Context], AbstractContextManager[Client]]
Wish = Callable[[str, bool, str | None], dict[str, Any]]


def commands(noun: str, asking: Asking, wish: Wish) -> typer.Typer:
    """The group for one kind of entry, ``service`` or ``host``."""
    app = typer.Typer(no_args_is_help=True, help=f"The {noun}s of the running document, one at a time.")
    _reading(app, noun, asking)
    _changing(app, noun, asking, wish)
    return app


def _reading(app: typer.Typer, noun: str, asking: Asking) -> None:
    @app.command("list")
    def list_all(ctx: typer.Context, as_json: AsJson = False) -> None:
        """List them as the document has them."""
        with asking(ctx) as engine:
            answer = engine.get(f"/{noun}s")
        if as_json:
            show.as_json(answer)
        else:
            show.out.print("\n".join(answer[f"{noun}s"]), markup=False)

    @app.command("show")
    def show_one(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
        """Show one as the document has it."""
        with asking(ctx) as engine:
            answer = engine.get(route("/{}s/{}", noun, name))
        if as_json:
            show.as_json(answer)
        else:
            text = yaml.safe_dump(answer["value"], sort_keys=False, allow_unicode=True)
            show.out.print(text.rstrip().removesuffix("\n..."), markup=False, highlight=False)


def _changing(app: typer.Typer, noun: str, asking: Asking, wish: Wish) -> None:
    @app.command("set")
    def put(
        ctx: typer.Context,
        name: Name,
        file: File,
        reason: Reason = "",
        if_match: IfMatch = None,
        confirm: Confirm = None,
        force: Force = False,
        as_json: AsJson = False,
    ) -> None:
        """Add or exchange one; everything else stays as it is written."""
        body = wish(reason, force, confirm) | {"value": value(file)}
        with asking(ctx) as engine:
            etag = if_match or engine.get(f"/{noun}s")["etag"]
            _told(engine.change("PUT", route("/{}s/{}", noun, name), etag, body=body), as_json)

    @app.command()
    def remove(
        ctx: typer.Context,
        name: Name,
        reason: Reason = "",
        if_match: IfMatch = None,
        confirm: Confirm = None,
        force: Force = False,
        as_json: AsJson = False,
    ) -> None:
        """Take one out of the document."""
        asked = {k: v for k, v in wish(reason, force, confirm).items() if v is not None}
        with asking(ctx) as engine:
            etag = if_match or engine.get(f"/{noun}s")["etag"]
            _told(engine.change("DELETE", route("/{}s/{}", noun, name), etag, query=asked), as_json)


def document_commands(asking: Asking, wish: Wish) -> typer.Typer:
    """The group for the whole document."""
    app = typer.Typer(no_args_is_help=True, help="The running document.")

    @app.command("show")
    def show_all(ctx: typer.Context, as_json: AsJson = False) -> None:
        """Print it as it was written."""
        with asking(ctx) as engine:
            answer = engine.get("/config")
        if as_json:
            show.as_json(answer)
        else:
            sys.stdout.write(answer["document"])

    @app.command("set")
    def put(
        ctx: typer.Context,
        file: File,
        if_match: Annotated[str, typer.Option(help="The etag of the document that it was made from")],
        reason: Reason = "",
        confirm: Confirm = None,
        force: Force = False,
        as_json: AsJson = False,
    ) -> None:
        """Apply a document, unless somebody changed the running one since it was read."""
        body = wish(reason, force, confirm) | {"document": _text(file)}
        with asking(ctx) as engine:
            _told(engine.change("PUT", "/config", if_match, body=body), as_json)

    return app


def _told(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        show.as_json(answer)
    else:
        show.show_applied(answer)


def _text(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"cannot read {file}: {error}", []) from error


def value(file: Path) -> Any:  # noqa: ANN401 - the engine judges it
    """The entry, read as strictly as a document: ``no`` and ``22:22`` are never guessed at."""
    text = _text(file)
    faults = read(text).faults
    if faults:
        raise Refusal(f"{file} cannot be read: {faults[0].what} {faults[0].remedy}", [])
    return say(text)
