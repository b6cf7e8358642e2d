"""The ``willis`` commands put together: what the fork server of ``forked`` imports before it serves."""

from __future__ import annotations

import httpcore  # noqa: F401 - what libraries import when they are used first
import pydantic.fields  # noqa: F401
import pydantic.type_adapter  # noqa: F401
from typer.main import get_command

from willis.__main__ import app, find_twin_socket

_COMMANDS = get_command(app)


def run() -> None:
    """Be the command of ``sys.argv``, to its exit."""
    _COMMANDS(obj=find_twin_socket)
