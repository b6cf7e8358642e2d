"""``willis lab``: the digital twin on the command line.

Each command imports what it needs when it runs: ``willis`` itself starts fast.
Exit codes: 0 done, 1 refused or failed with the reason, 2 wrong usage; ``exec`` passes on its command's.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from willis.lab.errors import LabError
from willis.lab.places import DEFAULT_NAME
from willis.terminal import console

if TYPE_CHECKING:
    from willis.lab.twin import Twin

app = typer.Typer(
    no_args_is_help=True,
    help="The digital twin: clients, a node and imaging hosts on this machine, with real traffic.",
)

Name = Annotated[str, typer.Option("--name", help="Which twin; several may stand side by side")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer for programs")]
Source = Annotated[str, typer.Argument(metavar="[TEMPLATE|FILE]", help="A template, or a site document")]
Servers = Annotated[int | None, typer.Option(help="How many imaging hosts, 1 to 200", min=1, max=200)]
With = Annotated[list[str] | None, typer.Option("--with", help="orthanc: a real Orthanc on the last host")]
Light = Annotated[bool, typer.Option("--light", help="Build the light twin even where a full one could be")]
Topology = Annotated[
    str | None,
    typer.Option(metavar="one-arm|two-arm|routed", help="Rearrange a document that has one interface"),
]
Machine = Annotated[str, typer.Argument(metavar="HOST", help="A machine, see 'willis lab status'")]
Piece = Annotated[str | None, typer.Argument(metavar="[PIECE]", help="One of its pieces; all if not given")]

_out, _err = console(), console(stderr=True)


@contextmanager
def _refusing() -> Iterator[None]:
    """What goes wrong becomes a sentence and an exit code."""
    try:
        yield
    except LabError as error:
        _err.print(f"[red]refused:[/] {escape(str(error))}")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        _err.print("interrupted; nothing is left behind")
        raise typer.Exit(130) from None


@app.command()
def up(
    source: Source = "canon",
    servers: Servers = None,
    name: Name = DEFAULT_NAME,
    with_: With = None,
    light: Light = False,
    topology: Topology = None,
    as_json: AsJson = False,
) -> None:
    """Build the twin, deploy the document on its node, and leave it running."""
    from willis.lab import control, make, show

    with _refusing():
        order = make.Order(name, source, servers, tuple(with_ or ()), light, topology)
        twin = make.make(order, _say)
        _answer(control.status(twin), as_json, show.machines)


@app.command()
def down(name: Name = DEFAULT_NAME) -> None:
    """Take the twin down, whatever is left of it; nothing stays behind."""
    from willis.lab import build

    with _refusing():
        _say(f"twin {name!r} is gone" if build.down(name) else f"there is no twin {name!r}")


@app.command()
def status(name: Name = DEFAULT_NAME, as_json: AsJson = False) -> None:
    """Show the machines, their pieces, and what their ledgers say."""
    from willis.lab import control, show

    with _refusing():
        _answer(control.status(_load(name)), as_json, show.machines)


@app.command("exec", context_settings={"ignore_unknown_options": True})
def execute(
    machine: Machine,
    command: Annotated[list[str], typer.Argument(metavar="-- CMD…", help="The command and its arguments")],
    name: Name = DEFAULT_NAME,
) -> None:
    """Run a command on a machine of the twin; its exit code is passed on."""
    from willis.lab import control

    with _refusing():
        twin = _load(name)
        control.check_machine(twin, machine)
        argv = [*twin.enter(machine), *command]
        environment = twin.environment(machine)
        try:
            os.execvpe(argv[0], argv, environment)  # noqa: S606 - the user's own command, no shell
        except OSError as error:
            raise LabError(f"{argv[0]} cannot be run: {error.strerror}.") from error


@app.command()
def kill(machine: Machine, piece: Piece = None, name: Name = DEFAULT_NAME, as_json: AsJson = False) -> None:
    """End a piece of a machine, or all of them, by SIGKILL."""
    from willis.lab import control

    with _refusing():
        _done(machine, "killed", control.kill(_load(name), machine, piece), as_json)


@app.command()
def freeze(machine: Machine, piece: Piece = None, name: Name = DEFAULT_NAME, as_json: AsJson = False) -> None:
    """Stop a piece, or all: its port stays open and nothing answers."""
    from willis.lab import control

    with _refusing():
        _done(machine, "frozen", control.freeze(_load(name), machine, piece), as_json)


@app.command()
def restore(
    machine: Machine, piece: Piece = None, name: Name = DEFAULT_NAME, as_json: AsJson = False
) -> None:
    """Start, thaw and plug in again what was killed, frozen or unplugged."""
    from willis.lab import control

    with _refusing():
        _done(machine, "restored", control.restore(_load(name), machine, piece), as_json)


@app.command()
def unplug(machine: Machine, name: Name = DEFAULT_NAME, as_json: AsJson = False) -> None:
    """Pull a machine's network plugs."""
    from willis.lab import control

    with _refusing():
        control.unplug(_load(name), machine)
        _done(machine, "unplugged", [], as_json)


@app.command()
def plug(machine: Machine, name: Name = DEFAULT_NAME, as_json: AsJson = False) -> None:
    """Put a machine's network plugs in."""
    from willis.lab import control

    with _refusing():
        control.plug(_load(name), machine)
        _done(machine, "plugged in", [], as_json)


@app.command()
def traffic(name: Name = DEFAULT_NAME, as_json: AsJson = False) -> None:
    """Send real traffic through every service and show what the hosts' ledgers prove."""
    from willis.lab import demo
    from willis.lab import traffic as real

    with _refusing():
        twin = _load(name)
        if as_json:
            rows = real.send(twin)
            ok = all(row.ok for row in rows)
            _answer({"ok": ok, "rows": [row.as_json() for row in rows]}, True, str)
        else:
            ok = demo.report(twin, _out, _say)
    raise typer.Exit(0 if ok else 1)


@app.command()
def demo(
    source: Source = "canon",
    servers: Servers = None,
    name: Name = DEFAULT_NAME,
    with_: With = None,
    light: Light = False,
    check: Annotated[bool, typer.Option("--check", help="Exit 0 or 1 and leave nothing behind")] = False,
) -> None:
    """Build the twin, send real traffic, print the evidence, and stay up until Ctrl-C."""
    from willis.lab import demo as real
    from willis.lab import make

    with _refusing():
        order = make.Order(name, source, servers, tuple(with_ or ()), light)
        code = real.run_demo(order, check=check, out=_out, say=_say)
    raise typer.Exit(code)


def _load(name: str) -> Twin:
    from willis.lab.twin import load

    return load(name)


def _say(sentence: str) -> None:
    """Progress and remarks, on standard error."""
    _err.print(escape(sentence))


def _answer(content: dict[str, Any], as_json: bool, people: Any) -> None:  # noqa: ANN401
    if as_json:
        sys.stdout.write(json.dumps(content, indent=2) + "\n")
    else:
        _out.print(people(content))


def _done(machine: str, what: str, pieces: list[str], as_json: bool) -> None:
    sentence = f"{machine}: {what}" + (f" ({', '.join(pieces)})" if pieces else "")
    content = {"machine": machine, "done": what, "pieces": pieces}
    _answer(content, as_json, lambda _: escape(sentence))
