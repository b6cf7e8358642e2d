"""The socket in the workers' jail to which they send the access log."""

from __future__ import annotations

import grp
import os
import socket
from pathlib import Path

from willis.engines.port import EngineError

_NAME = "access.sock"
"""As ``idioms`` calls it."""


def listen(jail: Path, user: str | None) -> socket.socket:
    """Listen for ``user``'s workers, and for those of root, which may not have root's rights over files.

    Raises EngineError.
    """
    path = jail / _NAME
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(mask)
        if user is not None:
            os.chown(path, -1, grp.getgrnam(user).gr_gid)
            path.chmod(0o660)
        listener.listen(16)
    except (OSError, KeyError) as error:
        listener.close()
        raise EngineError(f"the access log's socket {path} cannot be made: {error}") from error
    listener.setblocking(False)
    return listener
