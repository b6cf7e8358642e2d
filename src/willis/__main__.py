"""The ``willis`` command: the only file that knows every room."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from willis.cli import show
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
) -> None:
    """Run this node's engine: control loop, checks and REST. Traffic outlives it."""
    from willis import daemon

    try:
        daemon.run(node, daemon.Places(run_dir, state_dir, pin_dir), daemon.Layer4(layer4))
    except daemon.StartError as error:
        show.failure(str(error), [])
        raise typer.Exit(1) from None


def main() -> None:
    """Run the command line."""
    app(obj=find_twin_socket)


if __name__ == "__main__":
    main()
