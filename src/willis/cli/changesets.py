"""``willis changeset``: edits of several services and hosts, gathered and applied as one change."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml
from rich.markup import escape

from willis.cli import show
from willis.cli.client import Json, Refusal, route
from willis.cli.entries import AsJson, Asking, Confirm, File, Force, Name, Reason, Wish, value
from willis.terminal import table


class Noun(StrEnum):
    """What is edited one at a time."""

    SERVICE = "service"
    HOST = "host"


Number = Annotated[int, typer.Argument(metavar="CHANGESET", help="Its number in 'willis changeset list'")]
What = Annotated[Noun, typer.Argument(metavar="WHAT", help="service or host")]
IfMatch = Annotated[
    str | None, typer.Option(help="Only if the change set is still this one (its etag); else the one of now")
]


def commands(asking: Asking, wish: Wish) -> typer.Typer:
    """The group."""
    app = typer.Typer(no_args_is_help=True, help="Edits that are gathered and applied as one change.")
    _sets(app, asking, wish)
    _staging(app, asking)
    _applying(app, asking, wish)
    return app


def _sets(app: typer.Typer, asking: Asking, wish: Wish) -> None:
    @app.command()
    def new(
        ctx: typer.Context,
        reason: Reason = "",
        if_match: Annotated[
            str | None, typer.Option(help="Only if the running document is still this one (its etag)")
        ] = None,
        as_json: AsJson = False,
    ) -> None:
        """Begin one on the running document."""
        asked = wish(reason, False, None)
        body = {"author": asked["author"], "reason": asked["reason"]}
        with asking(ctx) as engine:
            if if_match:
                found = engine.change("POST", "/changesets", if_match, body=body)
            else:
                found = engine.post("/changesets", body)
            _told(found, as_json)

    @app.command("list")
    def list_all(ctx: typer.Context, as_json: AsJson = False) -> None:
        """List those that wait to be applied."""
        with asking(ctx) as engine:
            answer = engine.get("/changesets?limit=500")
        if as_json:
            show.as_json(answer)
            return
        grid = table("set", "edits", "author", "since", "reason")
        for row in answer["changesets"]:
            cells = (row["changeset"], row["staged"], row["author"], show.when(row["since"]), row["reason"])
            grid.add_row(*(escape(str(cell)) for cell in cells))
        show.out.print(grid)

    @app.command("show")
    def show_one(ctx: typer.Context, changeset: Number, as_json: AsJson = False) -> None:
        """Show its edits, what others changed meanwhile, and what is still wrong."""
        with asking(ctx) as engine:
            _told(engine.get(route("/changesets/{}", changeset)), as_json)

    @app.command()
    def discard(ctx: typer.Context, changeset: Number, as_json: AsJson = False) -> None:
        """Forget one; nothing that runs changes."""
        with asking(ctx) as engine:
            answer = engine.delete(route("/changesets/{}", changeset))
        if as_json:
            show.as_json(answer)
        else:
            show.out.print(f"change set {changeset} is gone")


def _staging(app: typer.Typer, asking: Asking) -> None:
    @app.command("set")
    def put(
        ctx: typer.Context,
        changeset: Number,
        what: What,
        name: Name,
        file: File,
        if_match: IfMatch = None,
        as_json: AsJson = False,
    ) -> None:
        """Stage a service or a host as it shall be; as it was: its edit is taken back."""
        _stage(ctx, changeset, what, name, {"value": value(file)}, if_match, as_json)

    @app.command()
    def remove(
        ctx: typer.Context,
        changeset: Number,
        what: What,
        name: Name,
        if_match: IfMatch = None,
        as_json: AsJson = False,
    ) -> None:
        """Stage that a service or a host goes."""
        _stage(ctx, changeset, what, name, None, if_match, as_json)

    def _stage(
        ctx: typer.Context,
        changeset: int,
        what: Noun,
        name: str,
        body: Json | None,
        if_match: str | None,
        as_json: bool,
    ) -> None:
        with asking(ctx) as engine:
            etag = if_match or _decided(engine.get(route("/changesets/{}", changeset)), f"{what}s", name)
            method = "DELETE" if body is None else "PUT"
            where = route("/changesets/{}/{}s/{}", changeset, what, name)
            _told(engine.change(method, where, etag, body=body), as_json)


def _applying(app: typer.Typer, asking: Asking, wish: Wish) -> None:
    @app.command()
    def plan(
        ctx: typer.Context,
        changeset: Number,
        diff: Annotated[
            bool, typer.Option("--diff", help="And every line of the document and of what it makes")
        ] = False,
        as_json: AsJson = False,
    ) -> None:
        """Show what applying it would change, and its effect on live sessions."""
        with asking(ctx) as engine:
            answer = engine.post(route("/changesets/{}/plan", changeset), {})
        if as_json:
            show.as_json(answer)
        else:
            show.show_plan(answer, diff)

    @app.command()
    def apply(
        ctx: typer.Context,
        changeset: Number,
        checksum: Annotated[
            str | None, typer.Option(help="Apply only the plan of this name; else the one of now")
        ] = None,
        reason: Reason = "",
        confirm: Confirm = None,
        force: Force = False,
        as_json: AsJson = False,
    ) -> None:
        """Make it run, whole or not at all; then it is gone."""
        body = wish(reason, force, confirm)
        with asking(ctx) as engine:
            plan = checksum or engine.post(route("/changesets/{}/plan", changeset), {})["checksum"]
            answer = engine.post(route("/changesets/{}/apply", changeset), body | {"checksum": plan})
        if as_json:
            show.as_json(answer)
        else:
            show.show_applied(answer)


def _decided(found: Json, section: str, name: str) -> str:
    """The etag of a set, unless others changed this entry too: who decides that says which set they saw."""
    if any((c["section"], c["name"]) == (section, name) for c in found["conflicts"]):
        number = found["changeset"]
        raise Refusal(
            f"others changed {name} too; look at both with 'willis changeset show {number}' and stage it "
            f"with --if-match {found['etag']}",
            [],
        )
    return str(found["etag"])


def _told(found: Json, as_json: bool) -> None:
    if as_json:
        show.as_json(found)
        return
    out, running = show.out, found["running"]
    reason = f": {found['reason']}" if found["reason"] else ""
    out.print(f"change set {found['changeset']} by {found['author']}{reason}", markup=False)
    for edit in found["edits"]:
        sign = "-" if edit["value"] is None else "+" if edit["was"] is None else "~"
        out.print(f"  {sign} {edit['section']}.{edit['name']}", markup=False)
    if found["moved_on"]:
        who = f"by {running['author']} since {show.when(running['at'])}"
        out.print(f"revision {running['revision']} {who} runs now; begun on {found['base']}", markup=False)
    for conflict in found["conflicts"]:
        by = conflict["by"]
        place = f"{conflict['section']}.{conflict['name']}"
        who = f"{by['author']} in revision {by['revision']}, {show.when(by['at'])}"
        out.print(f"[red]■ {escape(f'{place} was changed by {who} too')}[/]")
        for side in ("was", "theirs", "mine"):
            out.print(f"  {side}: {_yaml(conflict[side])}", markup=False, highlight=False)
    show.show_problems(found["problems"])
    out.print(f"etag {found['etag']}", markup=False, highlight=False)


def _yaml(said: Any) -> str:  # noqa: ANN401 - an entry of the document
    if said is None:
        return "not there"
    text = yaml.safe_dump(said, sort_keys=False, allow_unicode=True, default_flow_style=True, width=10_000)
    return text.rstrip().removesuffix("\n...")
