"""What a piece is told when it starts: host, sockets, services, ledger.

The twin writes it to a file, the piece reads it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from willis.lab.blueprint import Listen
from willis.model.service import Protocol


@dataclass(frozen=True, slots=True)
class Brief:
    """One piece of one host."""

    host: str
    piece: str
    ledger: str
    """The file that gets the piece's ledger."""
    listens: tuple[Listen, ...]
    services: tuple[tuple[str, int, str], ...]
    """(local address, port, services), as ``blueprint.Piece.services``."""
    archive: str | None = None
    """Base URL of the Orthanc on the same host, where web pieces stand in front of one."""
    home: str = ""
    """A directory of the piece's own."""

    @property
    def ready_file(self) -> Path:
        """Exists once every socket is bound."""
        return Path(self.home) / "ready"

    def service(self, address: str, port: int) -> str:
        """The service that a connection to this local address and port belongs to; '' if to none."""
        here = {name for known, number, name in self.services if (known, number) == (address, port)}
        names = here or {name for _, number, name in self.services if number == port}
        parts = dict.fromkeys(part for name in sorted(names) for part in name.split("+"))
        return "+".join(parts)


def write(brief: Brief, path: Path) -> None:
    """Write the brief for the piece that is about to start."""
    path.write_text(json.dumps(asdict(brief), indent=1))


def read_own() -> Brief:
    """The brief named on this process's command line."""
    told = json.loads(Path(sys.argv[1]).read_text())
    return Brief(
        host=told["host"],
        piece=told["piece"],
        ledger=told["ledger"],
        listens=tuple(Listen(x["address"], x["port"], Protocol(x["protocol"])) for x in told["listens"]),
        services=tuple((address, port, name) for address, port, name in told["services"]),
        archive=told["archive"],
        home=told["home"],
    )
