"""The clients that persistence ties to a server: listed for people, forgotten on their word."""

from __future__ import annotations

import time
from collections.abc import Iterator
from ipaddress import ip_network

from willis.engines.ebpf import layout
from willis.engines.ebpf.book import Book
from willis.engines.ebpf.libbpf import Loaded
from willis.engines.ebpf.observe import service_rows
from willis.engines.port import Client
from willis.model.service import Address


class Sessions:
    """The ties of one service. A service that layer 4 does not carry has none."""

    def __init__(self, loaded: Loaded, book: Book, service: str) -> None:
        self._clients = loaded.maps["clients"]
        self._slots = book.slots()
        label = book.services().get(service)
        self._number = -1 if label is None else label.number
        rows = service_rows(loaded)[self._number]
        self._mask = layout.SERVICE.unpack(rows[0].value)[3] if rows else bytes(16)

    def listed(self) -> list[Client]:
        """Those that hold now, in the order of their addresses."""
        now = time.monotonic_ns()
        found = [client for key, value in self._own() if (client := self._client(key, value, now))]
        return sorted(found, key=lambda client: (client.network.version, client.network.network_address))

    def forget(self, client: Address | None) -> int:
        """Ends the tie of the client (of its whole network, under a mask), or all. Returns how many.

        Running connections stay where they are.
        """
        wanted = None if client is None else self._masked(client)
        keys = [key for key, _ in self._own() if wanted in (None, layout.CLIENT_KEY.unpack(key)[1])]
        for key in keys:
            self._clients.delete(key)
        return len(keys)

    def _own(self) -> Iterator[tuple[bytes, bytes]]:
        return (
            (key, value)
            for key, value in self._clients.items()
            if layout.CLIENT_KEY.unpack(key)[0] == self._number
        )

    def _client(self, key: bytes, value: bytes, now: int) -> Client | None:
        (word,) = layout.CLIENT.unpack(value)
        left = (word >> 16) * layout.TICK_NS - now
        slot = self._slots.get(word & 0xFFFF)
        if left <= 0 or slot is None or slot.service != self._number:
            return None
        address = layout.unpack_address(layout.CLIENT_KEY.unpack(key)[1])
        prefix = layout.unpack_mask(self._mask, address.version)
        whole = not 0 < prefix <= address.max_prefixlen
        return Client(
            ip_network((address, address.max_prefixlen if whole else prefix), strict=False),
            slot.host,
            left / layout.SECOND_NS,
        )

    def _masked(self, client: Address) -> bytes:
        packed = int.from_bytes(layout.pack_address(client)) & int.from_bytes(self._mask)
        return packed.to_bytes(16)
