"""``willis acme``: certificates that are ordered and renewed by themselves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from willis.cli import show
from willis.cli.client import Client, Json, route
from willis.terminal import table

AsJson = Annotated[bool, typer.Option("--json", help="Print the answer for programs")]
Asking = Callable[[typer.Context], AbstractContextManager[Client]]

_ORDER_S = 180.0
"""An authority may take its two minutes."""


def commands(asking: Asking) -> typer.Typer:
    """The group of commands. ``asking`` gives a client for the engine and turns failures into sentences."""
    app = typer.Typer(no_args_is_help=True, help="Certificates that are ordered and renewed by themselves.")

    @app.command()
    def status(ctx: typer.Context, as_json: AsJson = False) -> None:
        """Show what is ordered, when it is renewed, and why an order failed."""
        with asking(ctx) as engine:
            answer = engine.get("/acme")
        if as_json:
            show.as_json(answer)
        else:
            _show(answer)

    @app.command()
    def renew(
        ctx: typer.Context,
        name: Annotated[str, typer.Argument(help="A certificate from acme.certificates")],
        as_json: AsJson = False,
    ) -> None:
        """Order a certificate now, due or not."""
        with asking(ctx) as engine:
            answer = Client(engine.place, timeout=_ORDER_S).post(route("/acme/renew/{}", name), {})
        if as_json:
            show.as_json(answer)
        else:
            show.out.print(f"certificate {answer['name']} is new, valid until {answer['not_after']}")

    @app.command()
    def account(
        ctx: typer.Context,
        eab_kid: Annotated[str, typer.Option(help="The key id that the authority gave")],
        eab_key_file: Annotated[Path, typer.Option(help="A file with the HMAC key; - for standard input")],
        as_json: AsJson = False,
    ) -> None:
        """Bind the account to a contract with the authority (external account binding)."""
        body: Json = {"kid": eab_kid, "hmac_key": _secret(eab_key_file)}
        with asking(ctx) as engine:
            answer = engine.post("/acme/account", body)
        if as_json:
            show.as_json(answer)
        else:
            show.out.print(f"the account is bound to {answer['eab_kid']} with the next order")

    return app


def _secret(path: Path) -> str:
    try:
        return (typer.get_text_stream("stdin").read() if str(path) == "-" else path.read_text()).strip()
    except (OSError, UnicodeDecodeError) as error:
        show.failure(f"cannot read {path}: {error}", [])
        raise typer.Exit(1) from None


def _show(answer: Json) -> None:
    if answer["directory"] is None:
        show.out.print("the running document orders no certificates (its key 'acme')")
        return
    bound = answer["account"]["eab_kid"]
    show.out.print(
        f"orders at {answer['directory']}" + (f", bound to {bound}" if bound else ""), soft_wrap=True
    )
    columns = ("certificate", "domains", "issuer", "valid until", "renewed at")
    grid = table(*columns, keep=columns[:1])
    for row in answer["certificates"]:
        until, renewal = row["not_after"] or "not issued yet", row["renewal_at"] or "now"
        grid.add_row(row["name"], ", ".join(row["domains"]), escape(row["issuer"] or "-"), until, renewal)
    show.out.print(grid)
    for alarm in answer["alarms"]:
        show.out.print(alarm, markup=False, soft_wrap=True)
