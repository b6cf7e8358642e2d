"""Asks a wire who owns an address: ARP, and neighbour discovery for IPv6. No cache learns a wrong MAC."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing

from willis.doctor import filters, frames
from willis.doctor.seen import Link, Place
from willis.doctor.wire import Wire, exchange
from willis.model.service import Address

_ROUNDS_S = (0.35, 0.35)
"""Each question is sent once a round: a lost frame must not hide a thief."""


def owners(
    places: Sequence[Place],
    links: Mapping[str, Link],
    own: Mapping[tuple[str, int], Address],
    vips: Collection[Address],
) -> dict[Place, frozenset[bytes]]:
    """Every MAC that answers for each place, but the node's own. Raises OSError.

    ``own``: the node's address on each interface, by IP version; IPv6 is not asked for without one.
    IPv4 hosts are asked as the kernel asks them, since some switches drop probes; ``vips`` are probed.
    """
    asked = [place for place in places if place[1].version == 4 or (place[0], 6) in own]
    found: dict[Place, set[bytes]] = {place: set() for place in asked}
    ours = {link.mac for link in links.values()}

    def question(name: str, address: Address) -> tuple[Wire, bytes]:
        probed = address.version == 4 and address in vips
        sender = None if probed else own.get((name, address.version))
        return wires[name, address.version], frames.who_has(address, links[name].mac, sender)

    def take(wire: Wire, frame: bytes) -> None:
        said = frames.owner(frame)
        if said is not None and (wire.interface, said[0]) in found and said[1] not in ours:
            found[wire.interface, said[0]].add(said[1])

    with ExitStack() as stack:
        wires = {key: stack.enter_context(closing(_wire(*key))) for key in _kinds(asked)}
        for seconds in _ROUNDS_S:
            questions = [question(*place) for place in asked]
            exchange(questions, [*wires.values()], seconds, take, lambda: not asked)
    return {place: frozenset(macs) for place, macs in found.items()}


def _kinds(places: Iterable[Place]) -> list[tuple[str, int]]:
    return list(dict.fromkeys((name, address.version) for name, address in places))


def _wire(interface: str, version: int) -> Wire:
    if version == 4:
        return Wire(interface, frames.ETH_ARP, filters.arp_replies())
    return Wire(interface, frames.ETH_IPV6, filters.advertisements())
