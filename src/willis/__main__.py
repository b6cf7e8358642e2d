"""The ``willis`` command: the only file that knows every room."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Annotated

import typer

from willis.cli import backup as backups
from willis.cli import show
from willis.cli.backup import PassphraseFile
from willis.cli.main import app
from willis.lab.commands import app as lab_app
from willis.lab.places import find_twin_socket

app.add_typer(lab_app, name="lab")


@app.command()
def engine(
    node: Annotated[str, typer.Option(help="This node's name")] = "lb1",
    run_dir: Annotated[Path, typer.Option(help="Sockets and pid files")] = Path("/run/willis"),
    state_dir: Annotated[Path, typer.Option(help="The store and generated files")] = Path("/var/lib/willis"),
    pin_dir: Annotated[Path, typer.Option(help="On a bpffs; pinned maps and programs")] = Path(
        "/sys/fs/bpf/willis"
    ),
    layer4: Annotated[
        str, typer.Option(help="ebpf, or haproxy: layer 4 carried by HAProxy in TCP mode")
    ] = "ebpf",
    web_user: Annotated[
        str | None,
        typer.Option(
            help="Who runs 'willis web': may open its socket [default: willis-web, if there is one]"
        ),
    ] = None,
) -> None:
    """Run this node's engine: control loop, checks and REST. Traffic outlives it."""
    # What is imported stays: looking for cycles in it costs a tenth of the start, and a little for ever.
    gc.disable()
    from willis import daemon

    gc.freeze()
    gc.set_threshold(50_000)  # a pass makes ten thousands of objects and hardly a cycle
    gc.enable()
    try:
        daemon.run(node, daemon.Places(run_dir, state_dir, pin_dir), daemon.Layer4(layer4), web_user)
    except daemon.StartError as error:
        show.failure(str(error), [])
        raise typer.Exit(1) from None


@app.command()
def web(
    listen: Annotated[
        list[str], typer.Option(metavar="ADDRESS:PORT", help="Where to serve HTTPS; may be repeated")
    ] = ["127.0.0.1:8443"],  # noqa: B006 - typer copies it
    host: Annotated[
        list[str] | None, typer.Option(help="A name that clients call this node by; may be repeated")
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="NETWORK", help="Serve only clients from there; may be repeated"),
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="PEM with its chain; without it, one is made at the first start")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="PEM, of --certificate")] = None,
    run_dir: Annotated[Path, typer.Option(help="The engine's")] = Path("/run/willis"),
    state_dir: Annotated[Path, typer.Option(help="Where the made certificate is")] = Path(
        "/var/lib/willis-web"
    ),
    user: Annotated[str, typer.Option(help="Whom root becomes before it serves anybody")] = "willis-web",
) -> None:
    """Serve the API over HTTPS, without any right but to speak to the engine's socket."""
    from willis.web import options, server

    try:
        server.run(options.read(listen, host, allow, certificate, key, run_dir, state_dir, user))
    except options.Unfit as error:
        raise typer.BadParameter(str(error)) from None
    except server.StartError as error:
        show.failure(str(error), [])
        raise typer.Exit(1) from None


@app.command("restore-backup")
def restore_backup(
    file: Annotated[Path, typer.Argument(help="A file of 'willis backup'")],
    state_dir: Annotated[Path, typer.Option(help="The new node's, empty or not there yet")] = Path(
        "/var/lib/willis"
    ),
    passphrase_file: PassphraseFile = None,
    identity: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Of a backup for a recipient: its identity; only you may read it"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is in it")] = False,
) -> None:
    """Make a new node's state from a backup, whole or not at all; start its engine afterwards."""
    from willis.control.backup import put_back, unpack
    from willis.control.backup_seal import BackupError, Identity, Passphrase

    if identity is not None and passphrase_file is not None:
        raise typer.BadParameter("give either --identity or --passphrase-file")
    try:
        content = file.read_bytes()
        if identity is not None:
            Identity.check(content)
            key: Identity | Passphrase = Identity.read(backups.identity(identity))
        else:
            Passphrase.check(content)  # before anybody is asked for one in vain
            key = Passphrase(backups.passphrase(passphrase_file, confirm=False))
        manifest, files = unpack(content, key)
        show.show_backup(manifest.at, manifest.node, manifest.site, manifest.revision, manifest.certificates)
        if not dry_run:
            put_back(files, state_dir)
            show.out.print(f"{state_dir} is ready: start 'willis engine'")
    except OSError as error:
        show.failure(f"cannot read {file}: {error.strerror}", [])
        raise typer.Exit(1) from None
    except BackupError as error:
        show.failure(str(error), [])
        raise typer.Exit(1) from None


@app.command("backup-key")
def backup_key(
    file: Annotated[Path, typer.Argument(help="Where to write the identity; it must not exist yet")],
) -> None:
    """Make a key pair for backups: the identity, which opens them, in a file; its recipient is printed."""
    from willis.control.backup_seal import Identity

    made = Identity.make()
    backups.write_private(file, made.pem())
    typer.echo(made.recipient.line)
    show.note(f"{file} opens what is made for this recipient: keep it, twice, and not on the node")


def main() -> None:
    """Run the command line."""
    app(obj=find_twin_socket)


if __name__ == "__main__":
    main()
