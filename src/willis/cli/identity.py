"""``willis user``, ``token``, ``login-sessions``, ``setup-code``, ``whoami``: who may come in, how far."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.markup import escape

from willis.cli import show
from willis.cli.client import Client, Json, route
from willis.cli.typed import typed
from willis.config.scalars import Duration, Unfit
from willis.terminal import table

AsJson = Annotated[bool, typer.Option("--json", help="Print the answer for programs")]
Roles = Annotated[
    list[str] | None,
    typer.Option(
        "--role",
        metavar="ROLE[:SERVICE,…]",
        help="viewer, operator, editor, auditor or admin; for some services only, as in "
        "'operator:Dicom*,RIS'. May be given several times",
    ),
]
User = Annotated[str, typer.Argument(help="The user's name")]
TokenName = Annotated[str, typer.Argument(help="The token's name, such as what uses it")]
Asking = Callable[[typer.Context], AbstractContextManager[Client]]


def add(app: typer.Typer, asking: Asking) -> None:
    """Add the commands to ``app``. ``asking`` gives a client and turns failures into sentences."""
    app.add_typer(_users(asking), name="user")
    app.add_typer(_tokens(asking), name="token")
    app.add_typer(_sessions(asking), name="login-sessions")

    @app.command("setup-code")
    def setup_code(ctx: typer.Context, as_json: AsJson = False) -> None:
        """Make another one-time code for the first administrator; those before count no more."""
        with asking(ctx) as engine:
            answer = engine.post("/setup-code", {})
        _print(answer, as_json, str(answer["code"]))

    @app.command()
    def whoami(ctx: typer.Context, as_json: AsJson = False) -> None:
        """Show as whom the engine knows you, and what you may do."""
        with asking(ctx) as engine:
            answer = engine.get("/me")
        _print(answer, as_json, f"{answer['name']} ({answer['way']}): {_grants(answer['grants'])}")


def _users(asking: Asking) -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, help="People whom this node knows by itself.")

    @app.command("list")
    def list_all(ctx: typer.Context, as_json: AsJson = False) -> None:
        """List users with their roles."""
        with asking(ctx) as engine:
            answer = engine.get("/users")
        grid = table("user", "roles", "second factor", "changed", keep=("user",))
        for row in answer["users"]:
            second = "yes" if row["second_factor"] else "-"
            grid.add_row(row["name"], _grants(row["grants"]), second, show.when(row["changed"]))
        _print(answer, as_json, grid)

    @app.command("show")
    def show_one(ctx: typer.Context, name: User, as_json: AsJson = False) -> None:
        """Show one user."""
        with asking(ctx) as engine:
            answer = engine.get(route("/users/{}", name))
        second = "with" if answer["second_factor"] else "without"
        _print(answer, as_json, f"{name}: {_grants(answer['grants'])}, {second} a second factor")

    _change_users(app, asking)
    return app


def _change_users(app: typer.Typer, asking: Asking) -> None:
    @app.command()
    def add(ctx: typer.Context, name: User, role: Roles = None, as_json: AsJson = False) -> None:
        """Make a user. The password is asked for, or is the first line of standard input."""
        if not role:
            raise typer.BadParameter("name at least one, as in --role operator", param_hint="--role")
        _set(asking, ctx, name, {"grants": _roles(role), "password": typed("Password", twice=True)}, as_json)

    @app.command("set")
    def change(
        ctx: typer.Context,
        name: User,
        role: Roles = None,
        password: Annotated[bool, typer.Option("--password", help="Ask for another password")] = False,
        as_json: AsJson = False,
    ) -> None:
        """Give other roles (all that are to hold) or another password; the user's sessions end."""
        if not role and not password:
            raise typer.BadParameter("give --role or --password")
        body: Json = {"grants": _roles(role)} if role else {}
        if password:
            body["password"] = typed("Password", twice=True)
        _set(asking, ctx, name, body, as_json)

    @app.command()
    def remove(ctx: typer.Context, name: User, as_json: AsJson = False) -> None:
        """Forget a user; the sessions end. The last administrator stays."""
        with asking(ctx) as engine:
            answer = engine.delete(route("/users/{}", name))
        _print(answer, as_json, f"user {name} is removed")

    @app.command("reset-second-factor")
    def reset(ctx: typer.Context, name: User, as_json: AsJson = False) -> None:
        """For somebody who lost phone and recovery codes: the password is enough until another is set."""
        with asking(ctx) as engine:
            answer = engine.delete(route("/users/{}/second-factor", name))
        _print(answer, as_json, f"user {name} has no second factor now")


def _tokens(asking: Asking) -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, help="How programs come in.")

    @app.command("list")
    def list_all(ctx: typer.Context, as_json: AsJson = False) -> None:
        """List tokens with their rights, ends and last uses."""
        with asking(ctx) as engine:
            answer = engine.get("/tokens")
        grid = table("token", "roles", "from", "expires", "last used", "made by", keep=("token",))
        for row in answer["tokens"]:
            used = show.when(row["used"]) if row["used"] else "never"
            networks = ", ".join(row["networks"]) or "anywhere"
            expires = show.when(row["expires"])
            grid.add_row(
                row["name"], _grants(row["grants"]), networks, expires, used, escape(row["created_by"])
            )
        _print(answer, as_json, grid)

    @app.command("show")
    def show_one(ctx: typer.Context, name: TokenName, as_json: AsJson = False) -> None:
        """Show what one token may; the token itself is not kept."""
        with asking(ctx) as engine:
            answer = engine.get(route("/tokens/{}", name))
        text = f"{name}: {_grants(answer['grants'])}, expires {show.when(answer['expires'])}"
        _print(answer, as_json, text)

    _change_tokens(app, asking)
    return app


def _change_tokens(app: typer.Typer, asking: Asking) -> None:
    @app.command()
    def add(
        ctx: typer.Context,
        name: TokenName,
        role: Roles = None,
        lasts: Annotated[str, typer.Option("--for", metavar="TIME", help="Until it expires")] = "90d",
        network: Annotated[
            list[str] | None,
            typer.Option("--from", metavar="NETWORK", help="Where it may come from; without: anywhere"),
        ] = None,
        as_json: AsJson = False,
    ) -> None:
        """Make a token and print it, once."""
        if not role:
            raise typer.BadParameter("name at least one, as in --role viewer", param_hint="--role")
        body: Json = {"name": name, "grants": _roles(role), "lasts_s": _seconds(lasts)}
        with asking(ctx) as engine:
            answer = engine.post("/tokens", body | {"networks": network or []})
        if not as_json:
            show.note(f"{name} expires {show.when(answer['expires'])}; nobody can show this again:")
        _print(answer, as_json, answer["token"])

    @app.command()
    def remove(ctx: typer.Context, name: TokenName, as_json: AsJson = False) -> None:
        """It opens nothing any more."""
        with asking(ctx) as engine:
            answer = engine.delete(route("/tokens/{}", name))
        _print(answer, as_json, f"token {name} is removed")


def _sessions(asking: Asking) -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, help="Who is signed in now.")

    @app.command("list")
    def list_all(ctx: typer.Context, as_json: AsJson = False) -> None:
        """List sessions, the newest first."""
        with asking(ctx) as engine:
            answer = engine.get("/user-sessions")
        grid = table("session", "user", "from", "since", "last request", keep=("session",))
        for row in answer["sessions"]:
            begun, seen = show.when(row["begun"]), show.when(row["seen"])
            grid.add_row(row["session"], escape(row["name"]), row["source"], begun, seen)
        _print(answer, as_json, grid)

    @app.command()
    def end(
        ctx: typer.Context,
        session: Annotated[str | None, typer.Argument(help="A session of 'login-sessions list'")] = None,
        user: Annotated[str | None, typer.Option(help="All sessions of this user")] = None,
        everybody: Annotated[bool, typer.Option("--all", help="All sessions")] = False,
        as_json: AsJson = False,
    ) -> None:
        """End one session, those of a user, or all."""
        if [session is not None, user is not None, everybody].count(True) != 1:
            raise typer.BadParameter("give one of SESSION, --user or --all")
        with asking(ctx) as engine:
            if session is not None:
                answer = engine.delete(route("/user-sessions/{}", session))
            else:
                of_user = f"?user={quote(user)}" if user is not None else ""
                answer = engine.delete(f"/user-sessions{of_user}")
        _print(answer, as_json, f"{answer['ended']} ended")

    return app


def _set(asking: Asking, ctx: typer.Context, name: str, body: Json, as_json: bool) -> None:
    with asking(ctx) as engine:
        answer = engine.put(route("/users/{}", name), body)
    _print(answer, as_json, f"user {name}: {_grants(answer['grants'])}")


def _roles(given: list[str]) -> list[Json]:
    """``operator:Dicom*,RIS`` as the API has it; the engine says what is wrong with it."""
    pairs = [each.partition(":") for each in given]
    return [
        {"role": role, "services": services.split(",") if colon else ["*"]} for role, colon, services in pairs
    ]


def _grants(rows: list[Json]) -> str:
    """In one line."""
    said = [
        row["role"] + ("" if row["services"] == ["*"] else f" in {', '.join(row['services'])}")
        for row in rows
    ]
    return "; ".join(said)


def _seconds(given: str) -> int:
    try:
        return int(Duration("1m", "1830d", whole=True).read(given, plain=True))
    except Unfit as error:
        raise typer.BadParameter(f"{error.what} {error.remedy}", param_hint="--for") from None


def _print(answer: Json, as_json: bool, people: Any) -> None:  # noqa: ANN401 - whatever rich prints
    if as_json:
        show.as_json(answer)
    else:
        show.out.print(people, soft_wrap=isinstance(people, str), markup=not isinstance(people, str))
