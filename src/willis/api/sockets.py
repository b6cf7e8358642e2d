"""The engine's two sockets: the console's for its owner alone, and one that the web process may open too."""

from __future__ import annotations

import grp
import os
import pwd
import socket
from pathlib import Path

from willis.api.peer import ENGINE, WEB

WEB_USER = "willis-web"
"""The user of the web process where nobody names another."""


def console(run: Path) -> socket.socket:
    """For the engine's own user. Raises OSError."""
    return _listen(run / f"{ENGINE}.sock")


def for_web(run: Path, name: str | None) -> socket.socket:
    """For the group of the user ``name``; None: of ``willis-web``, or nobody else where there is none.

    That group may pass through the run directory to the socket's own, and see nothing there.
    Raises OSError.
    """
    place = run / WEB
    place.mkdir(mode=0o700, exist_ok=True)
    listener = _listen(place / f"{WEB}.sock")
    user = _user(name)
    if user is not None and user.pw_uid != os.geteuid():
        try:
            for path, mode in ((run, 0o710), (place, 0o710), (place / f"{WEB}.sock", 0o660)):
                os.chown(path, -1, user.pw_gid)
                path.chmod(mode)
        except PermissionError as error:
            group = grp.getgrgid(user.pw_gid).gr_name
            raise PermissionError(
                f"cannot give {run} to the group {group} of the web process ({error.strerror}); "
                "start the engine as root or as a member of it, or name its own user with --web-user"
            ) from error
    return listener


def _user(name: str | None) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name or WEB_USER)
    except KeyError:
        if name is None:
            return None
        raise FileNotFoundError(f"there is no user {name!r}; make it, or give another --web-user") from None


def _listen(path: Path) -> socket.socket:
    """For its owner only. A socket left by a killed engine is replaced."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    listener.listen(128)
    return listener
