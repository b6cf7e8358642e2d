"""``willis certificate``: what the node proves itself with, and whom it trusts."""

from __future__ import annotations

import base64
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
Name = Annotated[str, typer.Argument(help="The name in the store, as tls.certificates has it")]
Files = Annotated[list[Path], typer.Argument(help="PEM, DER or PFX files, in any order")]
Asking = Callable[[typer.Context], AbstractContextManager[Client]]


def commands(asking: Asking) -> typer.Typer:
    """The group of commands. ``asking`` gives a client for the engine and turns failures into sentences."""
    app = typer.Typer(no_args_is_help=True, help="What the node proves itself with, and whom it trusts.")
    _adding(app, asking)
    _listing(app, asking)
    _leaving(app, asking)
    app.add_typer(_authority(asking), name="authority")
    return app


def _adding(app: typer.Typer, asking: Asking) -> None:
    @app.command()
    def add(
        ctx: typer.Context,
        name: Name,
        files: Files,
        passphrase_file: Annotated[
            Path | None, typer.Option(help="A file with the passphrase of the key or PFX")
        ] = None,
        as_json: AsJson = False,
    ) -> None:
        """Store a certificate with its key, or replace it; services go on without a reload."""
        body: Json = {"files": _encoded(files)}
        if passphrase_file is not None:
            body["passphrase"] = _read(passphrase_file).decode("utf-8", "replace").rstrip("\r\n")
        with asking(ctx) as engine:
            answer = engine.put(route("/certificates/{}", name), body)
        if as_json:
            show.as_json(answer)
            return
        show.out.print(f"certificate {answer['name']} is stored, valid until {answer['not_after']}")
        for warning in answer["warnings"]:
            show.note(f"warning: {warning}")

    @app.command()
    def request(
        ctx: typer.Context,
        name: Name,
        domain: Annotated[list[str], typer.Option(help="A host name or address; may be given several times")],
        as_json: AsJson = False,
    ) -> None:
        """Print a signing request; its key waits here for the certificate."""
        with asking(ctx) as engine:
            answer = engine.post(route("/certificates/{}/request", name), {"domains": domain})
        if as_json:
            show.as_json(answer)
        else:
            show.out.print(answer["request"], markup=False, end="", soft_wrap=True)


def _listing(app: typer.Typer, asking: Asking) -> None:
    @app.command("list")
    def list_all(ctx: typer.Context, as_json: AsJson = False) -> None:
        """List the certificates with their names, ends and services."""
        with asking(ctx) as engine:
            answer = engine.get("/certificates")
        if as_json:
            show.as_json(answer)
            return
        grid = table("certificate", "names", "issuer", "valid until", "services", keep=("certificate",))
        for row in answer["certificates"]:
            names, used = escape(", ".join(row["names"])), ", ".join(row["services"])
            grid.add_row(row["name"], names, escape(row["issuer"]), row["not_after"], used or "-")
        show.out.print(grid)
        if answer["requested"]:
            show.out.print(f"requested and not come yet: {', '.join(answer['requested'])}")
        for row in answer["unreadable"]:
            show.note(f"warning: {row['name']} in the store is no certificate: {row['reason']}")

    @app.command("show")
    def show_one(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
        """Show what a certificate says, and its chain. The key is never shown."""
        with asking(ctx) as engine:
            answer = engine.get(route("/certificates/{}", name))
        if as_json:
            show.as_json(answer)
            return
        for key, value in answer.items():
            text = ", ".join(value) if isinstance(value, list) else str(value)
            show.out.print(text if key == "chain" else f"{key}: {text}", markup=False, soft_wrap=True)


def _leaving(app: typer.Typer, asking: Asking) -> None:
    @app.command()
    def remove(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
        """Forget a certificate and its key; refused while a service uses it."""
        with asking(ctx) as engine:
            answer = engine.delete(route("/certificates/{}", name))
        if as_json:
            show.as_json(answer)
        else:
            show.out.print(f"certificate {name} is removed")


def _authority(asking: Asking) -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, help="Whom the node trusts: clients' and servers' authorities.")

    @app.command()
    def add(ctx: typer.Context, name: Name, files: Files, as_json: AsJson = False) -> None:
        """Store or replace the authorities of one name."""
        with asking(ctx) as engine:
            answer = engine.put(route("/authorities/{}", name), {"files": _encoded(files)})
        if as_json:
            show.as_json(answer)
        else:
            show.out.print(f"authority {name} is stored: {len(answer['certificates'])} certificates")

    @app.command("list")
    def list_all(ctx: typer.Context, as_json: AsJson = False) -> None:
        """List the authorities."""
        with asking(ctx) as engine:
            answer = engine.get("/authorities")
        if as_json:
            show.as_json(answer)
            return
        grid = table("authority", "certificate", "valid until", keep=("authority",))
        for row in answer["authorities"]:
            for each in row["certificates"]:
                grid.add_row(row["name"], escape(each["subject"]), each["not_after"])
        show.out.print(grid)

    @app.command()
    def remove(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
        """Forget the authorities of one name; refused while the document uses it."""
        with asking(ctx) as engine:
            answer = engine.delete(route("/authorities/{}", name))
        if as_json:
            show.as_json(answer)
        else:
            show.out.print(f"authority {name} is removed")

    return app


def _encoded(files: list[Path]) -> list[str]:
    return [base64.b64encode(_read(path)).decode() for path in files]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        show.failure(f"cannot read {path}: {error.strerror}", [])
        raise typer.Exit(1) from None
