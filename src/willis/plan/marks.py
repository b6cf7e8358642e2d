"""The packet mark of a member, by which the layer-4 engine tells nftables which server it chose.

Both engines compile it from the same values, so neither needs to know the other. A mark
is a hash of what it stands for: it stays the same whatever else changes in the document,
and a server that moves to another address gets another mark, so that a packet marked
before a change can never be translated to somebody else.
"""

from __future__ import annotations

from hashlib import blake2b

from willis.model.config import Config
from willis.model.service import TRANSLATED, Address, RealServer, VirtualService

MASK = 0xFF000000
"""The bits of the mark that say it is ours; an administrator's own marks must leave them alone."""
OURS = 0x57000000
RETURNING = 0x58000000
"""Of answers to the proxy's transparent connections: it cannot be mistaken for a member's."""
HALF_OPEN = 0x59000000
"""Of looks whose last ACK must not leave the node."""
_NUMBERS = 1 << 24


Translated = tuple[str, Address, int | None]
"""A service's name, and the address and port of one of its real servers."""


def marks(config: Config) -> dict[Translated, int]:
    """The mark of every real server whose address is translated; the fallback server too."""
    names = {
        _name(service, server): (service.name, server.address, server.port)
        for service, server in _translated(config)
    }
    taken: dict[int, Translated] = {}
    for name in sorted(names):
        number = int.from_bytes(blake2b(name.encode(), digest_size=3).digest())
        while number in taken:
            number = (number + 1) % _NUMBERS
        taken[number] = names[name]
    return {member: OURS | number for number, member in taken.items()}


def _translated(config: Config) -> list[tuple[VirtualService, RealServer]]:
    return [
        (service, server)
        for service in config.services
        if service.forwarding in TRANSLATED
        for server in (*service.pool, *((service.fallback,) if service.fallback else ()))
    ]


def _name(service: VirtualService, server: RealServer) -> str:
    """All that decides the translation."""
    port = "same" if server.port is None else server.port
    return f"{service.name} {service.forwarding} {service.source} {server.address} {port}"
