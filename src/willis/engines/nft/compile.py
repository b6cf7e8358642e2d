"""From Config and Status to what nftables must translate for the NAT and SNAT services. Pure.

The layer-4 program chooses the server and marks the packet; what is compiled here says,
mark by mark, where such a packet goes and whom the server sees.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

from willis.engines.nft.rules import BASE
from willis.model.config import Config
from willis.model.service import TRANSLATED, Address, Forwarding, Protocol, RealServer, VirtualService
from willis.model.status import Admin, Status
from willis.plan.marks import Translated, marks
from willis.plan.members import Standing, admin_of, members
from willis.plan.remembered import remembered


@dataclass(frozen=True, slots=True)
class Timing:
    """How long conntrack remembers a silent connection. Services with equal times share it."""

    protocol: Protocol
    seconds: tuple[int, ...]
    """TCP: established and closing. UDP: the one time."""

    @property
    def name(self) -> str:
        """Such as ``tcp-14400-120``; it says everything, so it can be read back from nftables."""
        return "-".join((self.protocol, *map(str, self.seconds)))

    @property
    def key(self) -> str:
        return f"timing/{self.name}"


@dataclass(frozen=True, slots=True)
class Translation:
    """What happens to a new connection with one mark."""

    mark: int
    label: str
    """``SERVICE/HOST``."""
    address: Address
    port: int | None
    """None: the port that the client used."""
    source: Address | None
    """Whom the server sees instead of the client; None: the client (NAT), unless ``masquerade``."""
    masquerade: bool
    """SNAT to a server in no subnet of ours: it sees the address from which the route leaves the node."""
    timing: str
    """The name of its Timing."""

    @property
    def key(self) -> str:
        """One host may stand in a pool and, on another port, as the fallback server."""
        return f"translation/{self.label}" + ("" if self.port is None else f":{self.port}")


@dataclass(frozen=True, slots=True)
class Down:
    """A real server that may carry nothing: conntrack must forget its connections."""

    label: str
    """``SERVICE/HOST``."""
    marks: tuple[int, ...]
    """Ascending. Two where the host is the fallback server too, on another port."""

    @property
    def key(self) -> str:
        return f"down/{self.label}"


@remembered
def compile_nft(config: Config, status: Status) -> dict[str, Hashable]:
    """Artefacts by key; none at all where no service is translated."""
    known = marks(config)
    artefacts: dict[str, Hashable] = {}
    for service in config.services:
        if service.forwarding in TRANSLATED:
            timing = _timing(service)
            artefacts[timing.key] = timing
            for translation in _translations(config, service, known, timing):
                artefacts[translation.key] = translation
            for down in _down(service, status, known):
                artefacts[down.key] = down
    if artefacts:
        artefacts[BASE.key] = BASE
    return artefacts


def _translations(
    config: Config, service: VirtualService, known: dict[Translated, int], timing: Timing
) -> Iterator[Translation]:
    for server in (*service.pool, *((service.fallback,) if service.fallback else ())):
        hidden = service.forwarding is Forwarding.SNAT
        source = _source(config, service, server) if hidden else None
        yield Translation(
            mark=known[service.name, server.address, server.port],
            label=f"{service.name}/{server.host}",
            address=server.address,
            port=server.port,
            source=source,
            masquerade=hidden and source is None,
            timing=timing.name,
        )


def _source(config: Config, service: VirtualService, server: RealServer) -> Address | None:
    """The document's, else the node's own in the subnet that it shares with the server."""
    return service.source or config.own_address_facing(server.address)


def _timing(service: VirtualService) -> Timing:
    times = service.timeouts
    if service.protocol is Protocol.UDP:
        return Timing(Protocol.UDP, (times.datagram_s,))
    return Timing(Protocol.TCP, (times.established_s, times.closing_s))


def _down(service: VirtualService, status: Status, known: dict[Translated, int]) -> Iterator[Down]:
    """A fallback server is not checked, so only an administrator takes it down."""
    found: dict[str, set[int]] = {}
    servers = [member.server for member in members(service, status) if member.standing is Standing.DOWN]
    if service.fallback and admin_of(status, service.name, service.fallback.host) is Admin.HALT:
        servers.append(service.fallback)
    for server in servers:
        found.setdefault(server.host, set()).add(known[service.name, server.address, server.port])
    for host, numbers in found.items():
        yield Down(f"{service.name}/{host}", tuple(sorted(numbers)))
