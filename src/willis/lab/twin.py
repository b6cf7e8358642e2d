"""One twin: where it lives, what it was built from, and how to reach its machines.

What a twin is stands in two files of its directory: ``document.yaml``, from which everything
is derived anew, and ``twin.json``, for scripts and for the few facts that the document lacks.
What it does is asked of the kernel each time.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from willis.config import load as load_document
from willis.lab import draw, netns, places, processes
from willis.lab.blueprint import NODE, Blueprint, BlueprintError
from willis.lab.errors import LabError
from willis.lab.pieces import with_orthanc
from willis.model.config import Config

_RECORD = "twin.json"
_DOCUMENT = "document.yaml"


@dataclass(frozen=True, slots=True)
class Twin:
    """A twin as it was planned; it may be half built or partly broken."""

    name: str
    directory: Path
    document: str
    """The site document that the node was given first (in a light twin: moved to loopback)."""
    config: Config
    blueprint: Blueprint
    light: bool
    orthanc: bool

    @property
    def socket(self) -> Path:
        """The node's engine."""
        return places.socket_of(self.directory, NODE)

    @property
    def inodes(self) -> dict[int, str]:
        return {} if self.light else netns.inodes(self.name)

    def enter(self, machine: str) -> list[str]:
        """The words before a command that run it on ``machine``."""
        return [] if self.light else netns.enter(self.name, machine)

    def environment(self, machine: str, piece: str = "") -> dict[str, str]:
        """The environment of a process on ``machine``: tools on the path, and the twin's mark.

        The path ends with the directory of our own tools, so that ``storescu`` stays dcmtk's.
        """
        path = os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        return dict(os.environ) | {
            "PATH": f"{path}:{Path(sys.executable).parent}",
            processes.MARK: str(self.directory),
            processes.MACHINE: machine,
            processes.PIECE: piece,
            "WILLIS_LAB_NAME": self.name,
            "WILLIS_LAB_DIR": str(self.directory.parent),
            "WILLIS_SOCKET": str(self.socket),
        }

    def processes(self) -> list[processes.Process]:
        return processes.find(self.directory, self.inodes)


def plan(name: str, document: str, *, light: bool, orthanc: bool = False) -> Twin:
    """The twin of a document, not built yet. Raises LabError."""
    try:
        directory = places.twin_dir(name)
        config = _config(document)
        blueprint = draw.light(config) if light else draw.full(config)
        if orthanc:
            blueprint = with_orthanc(blueprint)
    except (places.PlaceError, BlueprintError) as error:
        raise LabError(str(error)) from error
    return Twin(name, directory, document, config, blueprint, light, orthanc)


def save(twin: Twin) -> None:
    """Write down what ``load`` needs, and what a script may want to know."""
    machines = [
        {
            "name": machine.name,
            "kind": machine.kind.value,
            "addresses": [str(address) for address in machine.addresses],
            "vips": [str(address) for address in machine.loopback],
            "namespace": None if twin.light else netns.label(twin.name, machine.name),
            "pieces": [piece.name for piece in machine.pieces],
        }
        for machine in twin.blueprint.machines
    ]
    record = {
        "name": twin.name,
        "light": twin.light,
        "orthanc": twin.orthanc,
        "socket": str(twin.socket),
        "machines": machines,
    }
    (twin.directory / _DOCUMENT).write_text(twin.document)
    (twin.directory / _RECORD).write_text(json.dumps(record, indent=1))


def load(name: str) -> Twin:
    """The twin that was built under this name. Raises LabError."""
    try:
        directory = places.twin_dir(name)
        record = json.loads((directory / _RECORD).read_text())
        document = (directory / _DOCUMENT).read_text()
    except places.PlaceError as error:
        raise LabError(str(error)) from error
    except FileNotFoundError:
        raise LabError(f"There is no twin {name!r}: build one with 'willis lab up'.{_others(name)}") from None
    except (OSError, ValueError) as error:
        raise LabError(
            f"Twin {name!r} cannot be read ({error}): take it down with 'willis lab down --name {name}'."
        ) from error
    return plan(name, document, light=record["light"], orthanc=record["orthanc"])


def _config(document: str) -> Config:
    loaded = load_document(document)
    if loaded.config is None:
        lines = "\n".join(f"  {problem}" for problem in loaded.problems)
        raise LabError(f"The document has errors, so no twin can be made of it:\n{lines}")
    return loaded.config


def _others(name: str) -> str:
    others = [other for other in places.twins() if other != name]
    return f" There is: {', '.join(others)} (--name)." if others else ""
