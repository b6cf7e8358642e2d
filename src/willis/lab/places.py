"""Where twins live on disk: plain path logic, so that the command line can ask without loading the lab.

A twin keeps everything in one directory, ``BASE/NAME``. The base is ``/run/willis/lab``
for root, else a private directory of the user; ``WILLIS_LAB_DIR`` names another.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path

DEFAULT_NAME = "twin"
NODE = "lb1"
NAME = re.compile(r"\A[A-Za-z0-9_]{1,16}\Z")
"""What a twin may be called. No hyphen: it separates the parts of a namespace's name."""


class PlaceError(Exception):
    """A directory cannot be used. The text says which, why and what to do."""


def base() -> Path:
    """The directory that holds all twins of this user. It need not exist yet."""
    named = os.environ.get("WILLIS_LAB_DIR")
    if named:
        return Path(named).absolute()
    if os.geteuid() == 0:
        return Path("/run/willis/lab")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return Path(runtime) / "willis" / "lab"
    return Path(f"/tmp/willis-{os.geteuid()}/lab")  # noqa: S108 - make_private refuses a planted directory


def twin_dir(name: str) -> Path:
    """The directory of the twin ``name``. Raises PlaceError for a name that cannot be one."""
    if not NAME.match(name):
        raise PlaceError(
            f"{name!r} cannot name a twin: use 1 to 16 letters, digits and underscores, such as 'twin'."
        )
    return base() / name


def socket_of(directory: Path, node: str = NODE) -> Path:
    """The engine's socket of a node of the twin in ``directory``."""
    return directory / node / "run" / "engine.sock"


def twins() -> list[str]:
    """The names of the twins that have a directory, the default one first."""
    try:
        names = [entry.name for entry in base().iterdir() if NAME.match(entry.name) and entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    return sorted(names, key=lambda name: (name != DEFAULT_NAME, name))


def find_twin_socket() -> tuple[str, Path] | None:
    """The node of a twin on this machine: (twin's name, engine socket), or None."""
    for name in twins():
        socket = socket_of(base() / name)
        if socket.is_socket():
            return name, socket
    return None


def tidy() -> None:
    """Remove the default base and its parent once no twin is left there. A named one stays."""
    if "WILLIS_LAB_DIR" in os.environ:
        return
    for directory in (base(), base().parent):
        with suppress(OSError):
            directory.rmdir()


def make_private(path: Path) -> None:
    """Make ``path`` and its missing parents, 0700, and refuse what another user could have planted.

    Raises PlaceError if ``path``, or its ancestor in a directory where anybody may plant
    (sticky, such as /tmp), is a link, belongs to somebody else or is writable by others.
    """
    for directory in (*reversed(path.parents), path):
        if not directory.exists():
            directory.mkdir(mode=0o700, exist_ok=True)
    _check_own(path, (os.geteuid(),))
    for directory, parent in zip((path, *path.parents), path.parents, strict=False):
        if parent.stat().st_mode & stat.S_ISVTX:
            _check_own(directory, (os.geteuid(), 0))


def _check_own(path: Path, owners: tuple[int, ...]) -> None:
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners or found.st_mode & 0o022:
        raise PlaceError(
            f"{path} cannot hold a twin: it is a link, belongs to another user or others may write to it. "
            "Remove it, or name another directory in WILLIS_LAB_DIR."
        )
