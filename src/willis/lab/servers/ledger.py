"""The ledger of a piece: what it got and from whom, one JSON line an act, as it happens.

It is the twin's evidence. A line is written with one system call before the peer gets its
answer, so a client that was answered always finds its line, even if the piece is killed.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from willis.lab.servers.brief import Brief


class Ledger:
    """Appends to the ledger named in the brief. Safe to use from several threads."""

    def __init__(self, brief: Brief) -> None:
        self._brief = brief
        self._fd = os.open(brief.ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def note(
        self, peer: tuple[Any, ...], local: tuple[Any, ...], what: str, *, ok: bool = True, **more: str
    ) -> None:
        """Write down that ``peer`` did ``what`` on the local socket address ``local``."""
        line = {
            "at": round(time.time(), 6),
            "service": self._brief.service(str(local[0]), int(local[1])),
            "client": str(peer[0]),
            "what": what,
            "ok": ok,
            **more,
        }
        os.write(self._fd, (json.dumps(line) + "\n").encode())
