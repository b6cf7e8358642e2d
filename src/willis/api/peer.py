"""HTTP over a unix socket, with the name of the user at the other end as the client's address.

The kernel vouches for it (SO_PEERCRED, unix(7)); nothing that a client sends can change it.
"""

from __future__ import annotations

import asyncio
import pwd
import socket
import struct

from uvicorn.protocols.http.h11_impl import H11Protocol

_CREDENTIALS = struct.Struct("3i")
"""struct ucred: process, user, group."""


class PeerProtocol(H11Protocol):
    """For ``uvicorn.Config(http=...)``."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.client = (_user(transport.get_extra_info("socket")), 0)


def _user(sock: socket.socket) -> str:
    packed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(packed)
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
