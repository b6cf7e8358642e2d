"""HTTP over the engine's two unix sockets.

The client's address is the name of the user at the other end, for which the kernel vouches
(SO_PEERCRED, unix(7)); the server's says which socket it is. Nothing that a client sends can
change either.
"""

from __future__ import annotations

import asyncio
import pwd
import socket
import struct
from pathlib import Path

from uvicorn.protocols.http.h11_impl import H11Protocol

_CREDENTIALS = struct.Struct("3i")
"""struct ucred: process, user, group."""


ENGINE, WEB = "engine", "web"
"""The server's address: the console's socket, which only its owner may open, and the web process's."""


class PeerProtocol(H11Protocol):
    """For ``uvicorn.Config(http=...)``."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        self.client = (_user(sock), 0)
        self.server = (Path(sock.getsockname()).stem, None)


def _user(sock: socket.socket) -> str:
    packed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(packed)
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
