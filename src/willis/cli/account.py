"""``willis me``: one's own password, second factor and sessions, here or on another node.

Each command signs in for itself, and out again: no session waits in a file for somebody else.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Annotated

import typer

from willis.cli import show
from willis.cli.client import Client, Json, Refusal, Unreachable, route
from willis.cli.typed import typed
from willis.terminal import table

AsJson = Annotated[bool, typer.Option("--json", help="Print the answer for programs")]
Name = Annotated[str, typer.Argument(help="Your user name on that node")]
Asking = Callable[[typer.Context], AbstractContextManager[Client]]


def commands(asking: Asking) -> typer.Typer:
    """The group of commands. ``asking`` gives a client without a credential."""
    app = typer.Typer(
        no_args_is_help=True,
        help="Your own password, second factor and sessions. Each command asks for the password, and for a "
        "code if there is a second factor, or reads them from standard input, a line each.",
    )
    _password(app, asking)
    _second_factor(app, asking)
    _sessions(app, asking)
    return app


def _password(app: typer.Typer, asking: Asking) -> None:
    @app.command()
    def password(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
        """Give another password; all your sessions end."""
        with _signed_in(asking, ctx, name) as (engine, old):
            answer = engine.post("/me/password", {"old": old, "new": typed("New password", twice=True)})
        _print(answer, as_json, f"{name} has another password; all sessions of {name} have ended")


def _second_factor(app: typer.Typer, asking: Asking) -> None:
    @app.command("second-factor")
    def set_up(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
        """Set up an app that makes codes, or another one; prints its secret, then recovery codes."""
        with _signed_in(asking, ctx, name) as (engine, proof):
            begun = engine.post("/me/second-factor", {"password": proof})
            _print(begun, as_json, f"for the app: {begun['secret']}\nas a link:   {begun['uri']}")
            answer = engine.post("/me/second-factor/confirm", {"code": typed("Code that the app shows")})
        codes = "\n".join(answer["recovery_codes"])
        _print(answer, as_json, f"set up. Each of these works once without the app:\n{codes}")

    @app.command("remove-second-factor")
    def remove(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
        """The password is enough again; all your sessions end."""
        with _signed_in(asking, ctx, name) as (engine, proof):
            answer = engine.post("/me/second-factor/remove", {"password": proof})
        _print(answer, as_json, f"{name} has no second factor now; all sessions of {name} have ended")


def _sessions(app: typer.Typer, asking: Asking) -> None:
    @app.command()
    def sessions(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
        """List where you are signed in; one of them is this command's own."""
        with _signed_in(asking, ctx, name) as (engine, _):
            answer = engine.get("/me/sessions")
        if as_json:
            show.as_json(answer)
            return
        grid = table("session", "from", "since", "last request", keep=("session",))
        for row in answer["sessions"]:
            grid.add_row(row["session"], row["source"], show.when(row["begun"]), show.when(row["seen"]))
        show.out.print(grid)

    @app.command("end-sessions")
    def end(
        ctx: typer.Context,
        name: Name,
        session: Annotated[str | None, typer.Argument(help="Only this one, of 'willis me sessions'")] = None,
        as_json: AsJson = False,
    ) -> None:
        """End all your sessions, or one of them."""
        with _signed_in(asking, ctx, name) as (engine, _):
            answer = engine.delete(
                route("/me/sessions/{}", session) if session is not None else "/me/sessions"
            )
        _print(answer, as_json, f"{answer['ended']} ended")


@contextmanager
def _signed_in(asking: Asking, ctx: typer.Context, name: str) -> Iterator[tuple[Client, str]]:
    """A client with a session of its own, and the password that opened it."""
    with asking(ctx) as engine:
        proof = typed("Password")
        body: Json = {"name": name, "password": proof}
        try:
            mine = engine.signed_in(body)
        except Refusal as refusal:
            if refusal.kind != "second-factor":
                raise
            mine = engine.signed_in(body | {"code": typed("Code of the second factor, or a recovery code")})
        try:
            yield mine, proof
        finally:
            with suppress(Refusal, Unreachable):  # what was done may have ended the session already
                mine.post("/logout", {})


def _print(answer: Json, as_json: bool, people: str) -> None:
    """An object a line: setting up a second factor answers twice."""
    if as_json:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    else:
        show.out.print(people, soft_wrap=True, markup=False, highlight=False)
