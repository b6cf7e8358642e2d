"""``willis backup``, and how the command line comes by what closes and opens a backup.

A passphrase is typed or comes from a file, an identity from a file of its owner's alone: neither
stands on a command line, which everybody can read. A recipient is no secret.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer

from willis.cli import show
from willis.cli.client import Client

PassphraseFile = Annotated[
    Path | None, typer.Option(help="A file whose first line is the passphrase; without it you are asked")
]
Asking = Callable[[typer.Context], AbstractContextManager[Client]]

_KEY = "MCowBQYDK2VuAyEA"
"""How the base64 of every X25519 public key begins (RFC 8410)."""


def add(app: typer.Typer, asking: Asking) -> None:
    """Add the command. ``asking`` gives a client for the engine and turns failures into sentences."""

    @app.command()
    def backup(
        ctx: typer.Context,
        file: Annotated[Path, typer.Argument(help="Where to write it; it must not exist yet")],
        passphrase_file: PassphraseFile = None,
        recipient: Annotated[
            str | None,
            typer.Option(
                metavar="KEY|FILE",
                help="Instead of a passphrase: a key of 'willis backup-key', whose identity alone opens it",
            ),
        ] = None,
    ) -> None:
        """Write all that the node must not lose, keys too, into one file that is closed."""
        if recipient is not None and passphrase_file is not None:
            raise typer.BadParameter("give either --recipient or --passphrase-file")
        if recipient is not None:
            body = {"recipient": _recipient(recipient)}
            who = "the identity of this recipient nobody can read it, this node neither"
        else:
            body = {"passphrase": passphrase(passphrase_file, confirm=True)}
            who = "the passphrase nobody can read it, you neither"
        with asking(ctx) as engine:
            content = engine.bytes("/backup", body)
        write_private(file, content)
        show.out.print(f"{file}: {len(content):,} bytes; without {who}")


def passphrase(file: Path | None, *, confirm: bool) -> str:
    """The first line of a file, or what is typed."""
    if file is not None:
        return _read(file).partition("\n")[0]
    return str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm))


def identity(file: Path) -> str:
    """The text of a file that nobody else may read."""
    try:
        shared = file.stat().st_mode & 0o077
    except OSError as error:
        raise _failed(f"cannot read {file}: {error.strerror}") from None
    if shared:
        raise _failed(f"others may read the identity in {file}: run 'chmod 600 {file}'")
    return _read(file)


def write_private(file: Path, content: bytes) -> None:
    """A new file that nobody else may read, whole or none."""
    try:
        made = os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        try:
            with made:
                made.write(content)
        except OSError:
            file.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _failed(f"cannot write {file}: {error.strerror}") from None


def _recipient(given: str) -> str:
    text = given if given.startswith(_KEY) else _read(Path(given)).strip()
    if "PRIVATE KEY" in text:
        raise _failed(f"{given} holds an identity, which stays with you: give its recipient")
    return text


def _read(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise _failed(f"cannot read {file}: {error}") from None


def _failed(sentence: str) -> typer.Exit:
    show.failure(sentence, [])
    return typer.Exit(1)
