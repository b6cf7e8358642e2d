"""The commands. Each asks the engine, or only reads (``validate``, ``template``), and shows the answer.

Exit codes: 0 done, 1 refused or failed with the reason, 2 wrong usage, 3 no engine answers.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from willis.cli import (
    account,
    acme,
    api,
    audit,
    backup,
    certificate,
    changesets,
    checks,
    doctor,
    entries,
    graph,
    identity,
    live,
    remote,
    secret,
    show,
    stream,
)
from willis.cli.client import Client, Json, Refusal, Unreachable, route, socket_path
from willis.cli.template import app as template_app
from willis.config import load, schema
from willis.config.scalars import Duration, Unfit

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Willis, a load balancer for medical imaging. Every command but 'engine' and 'lab' takes --json.",
)
app.add_typer(template_app, name="template")


class WhenIdle(StrEnum):
    """What a drain may turn into."""

    HALT = "halt"


Confirm = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Back by itself unless confirmed in so long, as in 120s (10s to 1d)"),
]

FindTwin = Callable[[], tuple[str, Path] | None]

File = Annotated[Path, typer.Argument(help="The site document; - for standard input")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer for programs")]
Force = Annotated[bool, typer.Option("--force", help="Do it although it is refused")]
Lasts = Annotated[
    str | None, typer.Option("--for", metavar="TIME", help="Back online by itself after so long, as in 2h")
]
ServerOf = Annotated[str, typer.Argument(metavar="SERVICE/HOST", help="A real server of a service")]
Where = Annotated[str, typer.Argument(help="HOST (in all its services), or SERVICE/HOST")]


@contextmanager
def _asking(ctx: typer.Context, *, token: bool = True) -> Iterator[Client]:
    """A client for the engine; what goes wrong becomes a sentence and an exit code.

    ``token``: towards another node, with the token of the environment.
    """
    try:
        yield Client(remote.from_environment(os.environ, token=token) or _local(ctx.obj))
    except (Unreachable, remote.NotReachable) as error:
        show.failure(str(error), [])
        raise typer.Exit(3) from None
    except Refusal as error:
        show.failure(str(error), error.problems)
        raise typer.Exit(1) from None


def _local(find_twin: FindTwin) -> Path:
    """The socket of this machine's engine, or of a twin."""
    twin = find_twin()
    path, is_twin = socket_path(twin[1] if twin else None)
    if is_twin and twin:
        show.note(f"no engine runs on this machine itself: asking the twin '{twin[0]}'")
    return path


backup.add(app, _asking)
live.add(app, _asking)
checks.add(app, _asking)
doctor.add(app, _asking)
graph.add(app, _asking)
identity.add(app, _asking)
stream.add(app, _asking)
app.add_typer(acme.commands(_asking), name="acme")
app.add_typer(account.commands(partial(_asking, token=False)), name="me")
app.add_typer(api.commands(_asking), name="api")
app.add_typer(audit.commands(_asking), name="audit")
app.add_typer(certificate.commands(_asking), name="certificate")
app.add_typer(changesets.commands(_asking, lambda *asked: _wish(*asked)), name="changeset")
app.add_typer(secret.commands(_asking), name="secret")
app.add_typer(entries.document_commands(_asking, lambda *asked: _wish(*asked)), name="config")
for noun in ("service", "host"):
    app.add_typer(entries.commands(noun, _asking, lambda *asked: _wish(*asked)), name=noun)


def _read(path: Path) -> str:
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        show.failure(f"cannot read {path}: {error}", [])
        raise typer.Exit(1) from None


def _print(answer: Json, as_json: bool, people: Callable[[Json], None]) -> None:
    if as_json:
        show.as_json(answer)
    else:
        people(answer)


@app.command()
def validate(file: File, as_json: AsJson = False) -> None:
    """List all problems of a document, each with its line and what to do. Needs no engine."""
    loaded = load(_read(file))
    problems = [show.problem(p) for p in loaded.problems]
    ok = loaded.config is not None
    if as_json:
        show.as_json({"ok": ok, "problems": problems})
    else:
        show.show_problems(problems)
        if loaded.config is not None:
            show.out.print(f"{file} is valid: {len(loaded.config.services)} services")
    raise typer.Exit(0 if ok else 1)


@app.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of the site document, for editors."""
    show.as_json(schema())


@app.command()
def plan(
    ctx: typer.Context,
    file: File,
    diff: Annotated[
        bool, typer.Option("--diff", help="And every line of the document and of what it makes")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what applying a document would change, and its effect on live sessions."""
    with _asking(ctx) as engine:
        answer = engine.post("/plan", {"document": _read(file)})
        _print(answer, as_json, lambda a: show.show_plan(a, diff))


@app.command()
def apply(
    ctx: typer.Context,
    file: File,
    reason: Annotated[str, typer.Option(help="Why, for the history")] = "",
    checksum: Annotated[str | None, typer.Option(help="Apply only the plan of this name")] = None,
    confirm: Confirm = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Make a document the running one, whole or not at all."""
    body = _wish(reason, force, confirm) | {"document": _read(file), "checksum": checksum}
    with _asking(ctx) as engine:
        _print(engine.post("/apply", body), as_json, show.show_applied)


@app.command()
def confirm(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Keep what was applied with --confirm."""
    with _asking(ctx) as engine:
        _print(engine.post("/confirm", {}), as_json, show.show_applied)


@app.command()
def undo(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Take back what waits to be confirmed, or return to the document before this one."""
    with _asking(ctx) as engine:
        _print(engine.post("/undo", {"author": _author()}), as_json, show.show_applied)


@app.command()
def restore(
    ctx: typer.Context,
    revision: Annotated[int, typer.Argument(help="A revision of 'willis history'")],
    reason: Annotated[str, typer.Option(help="Why, for the history")] = "",
    confirm: Confirm = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Make the document of an earlier revision the running one, as a new revision."""
    with _asking(ctx) as engine:
        answer = engine.post(route("/revisions/{}/restore", revision), _wish(reason, force, confirm))
        _print(answer, as_json, show.show_applied)


@app.command()
def diff(
    ctx: typer.Context,
    old: Annotated[int, typer.Argument(help="A revision of 'willis history'")],
    new: Annotated[int | None, typer.Argument(help="Another one; without it, the running one")] = None,
    as_json: AsJson = False,
) -> None:
    """Show how two documents differ."""
    with _asking(ctx) as engine:
        running = new if new is not None else engine.get("/status")["revision"]
        _print(engine.get(route("/revisions/{}/diff/{}", old, running)), as_json, show.show_diff)


@app.command()
def status(
    ctx: typer.Context,
    service: Annotated[str | None, typer.Argument(help="Only this service, with its servers")] = None,
    as_json: AsJson = False,
) -> None:
    """Show services, servers, sessions and bytes."""
    with _asking(ctx) as engine:
        answer = engine.get(route("/status/{}", service) if service is not None else "/status")
        _print(answer, as_json, show.show_service if service else show.show_status)


@app.command()
def drain(
    ctx: typer.Context,
    where: Where,
    lasts: Lasts = None,
    when_idle: Annotated[WhenIdle | None, typer.Option(help="What to do once no connection is left")] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """No new connections; running ones finish."""
    more = {"for_s": _seconds(lasts), "halt_when_idle": when_idle is not None}
    _order(ctx, "drain", where, {"force": force, **more}, as_json)


@app.command()
def halt(
    ctx: typer.Context, where: Where, lasts: Lasts = None, force: Force = False, as_json: AsJson = False
) -> None:
    """No connections at all."""
    _order(ctx, "halt", where, {"force": force, "for_s": _seconds(lasts)}, as_json)


@app.command()
def online(ctx: typer.Context, where: Where, as_json: AsJson = False) -> None:
    """Back to work."""
    _order(ctx, "online", where, {}, as_json)


@app.command()
def explain(
    ctx: typer.Context,
    where: ServerOf,
    as_json: AsJson = False,
) -> None:
    """Say why a server is up or down, with the transcript of its checks."""
    _named(where)
    with _asking(ctx) as engine:
        _print(engine.get(route("/explain/{}/{}", *where.split("/"))), as_json, show.show_explanation)


@app.command()
def check(
    ctx: typer.Context,
    where: ServerOf,
    as_json: AsJson = False,
) -> None:
    """Ask a real server now what its check asks, and show all that was said. Exit code 1 if it fails."""
    _named(where)
    with _asking(ctx) as engine:
        answer = engine.post(route("/check/{}/{}", *where.split("/")), {})
        _print(answer, as_json, show.show_check)
    raise typer.Exit(0 if answer["ok"] else 1)


@app.command()
def sessions(
    ctx: typer.Context,
    service: Annotated[str, typer.Argument(help="A service with source-IP persistence")],
    clear: Annotated[
        str | None, typer.Option(help="End the tie of this client; its connections stay")
    ] = None,
    clear_all: Annotated[bool, typer.Option("--clear-all", help="End the ties of all clients")] = False,
    as_json: AsJson = False,
) -> None:
    """List the clients that persistence ties to a server, or end such ties."""
    if clear and clear_all:
        raise typer.BadParameter("give either --clear CLIENT or --clear-all")
    with _asking(ctx) as engine:
        if clear or clear_all:
            only = f"?client={quote(clear)}" if clear else ""
            answer = engine.delete(route("/sessions/{}", service) + only)
            _print(answer, as_json, lambda a: show.out.print(f"{a['forgotten']} forgotten"))
        else:
            _print(engine.get(route("/sessions/{}", service)), as_json, show.show_sessions)


@app.command()
def history(
    ctx: typer.Context,
    revision: Annotated[int | None, typer.Argument(help="Print the document of this revision")] = None,
    as_json: AsJson = False,
) -> None:
    """List the revisions with author, reason and time, or print one."""
    with _asking(ctx) as engine:
        if revision is None:
            _print(engine.get("/history"), as_json, show.show_history)
        else:
            answer = engine.get(route("/revisions/{}", revision))
            _print(
                answer, as_json, lambda a: show.out.print(a["document"], markup=False, end="", soft_wrap=True)
            )


def _named(where: str) -> None:
    """Raises BadParameter unless ``where`` is a service and a host."""
    if where.count("/") != 1:
        raise typer.BadParameter("name a service and a host, as in DicomRouting/vna1")


def _seconds(given: str | None, option: str = "--for", low: str = "1s", high: str = "30d") -> int | None:
    """How long ``2h`` is. Raises BadParameter."""
    if given is None:
        return None
    try:
        return int(Duration(low, high, whole=True).read(given, plain=True))
    except Unfit as error:
        raise typer.BadParameter(f"{error.what} {error.remedy}", param_hint=option) from None


def _wish(reason: str, force: bool, confirm: str | None) -> Json:
    confirm_s = _seconds(confirm, "--confirm", "10s", "1d")
    return {"author": _author(), "reason": reason, "force": force, "confirm_s": confirm_s}


def _order(ctx: typer.Context, state: str, where: str, more: Json, as_json: bool) -> None:
    with _asking(ctx) as engine:
        _print(engine.post(f"/{state}", {"where": where, **more}), as_json, show.show_order)


def _author() -> str:
    """Who asks, for the history: the login behind sudo if there is one."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
