"""Knocks at machines by their MAC, whatever addresses are written on the frame.

A SYN for VIP and port goes to one real server, as a client's would after scheduling. A SYN-ACK
proves that the server owns the VIP (direct routing) and that its application listens there; a
RST, that it owns it and nothing listens. No application sees it: a handshake that came half-way
is reset.

The answer's source is the VIP, an address of the node itself, so the node's own stack drops it
as a martian; a packet socket sees it before. Where the VIP is missing on the node, the stack
finds no connection and resets it too, which does no harm.

Written with a client's address, a SYN shows where a server's answers go: to the node, as NAT
needs it, or by another way, where they are lost.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager

from willis.doctor import filters
from willis.doctor.frames import ETH_IPV4, ETH_IPV6
from willis.doctor.seen import Knock, Link, Reply
from willis.doctor.segments import RST, SYN, Head, answer, segment
from willis.doctor.wire import Wire, exchange

_ROUNDS_S = (0.3, 0.5)
"""Who is silent in the first is asked again; who answers ends the wait."""
_FIRM = (Reply.OPEN, Reply.CLOSED)
"""What a machine's TCP says stands against an ICMP error, which anybody may send."""
_ETHER_TYPE = {4: ETH_IPV4, 6: ETH_IPV6}


def knock(knocks: Sequence[Knock], links: Mapping[str, Link]) -> dict[Knock, Reply]:
    """What came of each, within 0.8 s. Raises OSError."""
    with ExitStack() as stack:
        ports = {version: stack.enter_context(_port(version)) for version in _versions(knocks)}
        wires: dict[tuple[str, int], Wire] = {
            (name, version): stack.enter_context(
                closing(Wire(name, _ETHER_TYPE[version], filters.answers_to(version, ports[version])))
            )
            for name, version in dict.fromkeys((each.interface, each.source.version) for each in knocks)
        }
        round_ = _Round(knocks, links, ports, wires)
        for seconds in _ROUNDS_S:
            exchange(round_.frames(SYN), [*wires.values()], seconds, round_.take, round_.ended)
        for wire, frame in round_.frames(RST, ahead=1):
            wire.send(frame)
        return {each: round_.found.get(each, Reply.SILENT) for each in knocks}


class _Round:
    """SYNs on their way. Each has a sequence number of its own, by which its answer is known:
    the same address and port may be asked of several machines."""

    def __init__(
        self,
        knocks: Sequence[Knock],
        links: Mapping[str, Link],
        ports: Mapping[int, int],
        wires: Mapping[tuple[str, int], Wire],
    ) -> None:
        self.found: dict[Knock, Reply] = {}
        self._asked = {secrets.randbits(32): each for each in knocks}
        self._links, self._ports, self._wires = links, ports, wires

    def ended(self) -> bool:
        """Whether everybody has answered."""
        return len(self.found) == len(self._asked)

    def frames(self, flags: int, ahead: int = 0) -> list[tuple[Wire, bytes]]:
        """To all that are silent. ``ahead``: of the SYN's sequence number; 1 is what a RST must have
        to end a handshake whose answer was lost (RFC 9293, 3.10.7.4)."""
        silent = ((number, each) for number, each in self._asked.items() if each not in self.found)
        return [self._frame(each, flags, number + ahead) for number, each in silent]

    def take(self, wire: Wire, raw: bytes) -> None:
        """Note an answer that is for us, and reset what would become a connection.

        Switches flood what they cannot place, so an answer on its way to another machine may be seen.
        Who sent it does not matter: teamed cards answer from any of their MACs.
        """
        if raw[:6] != self._links[wire.interface].mac:
            return
        for port in self._ports.values():
            said = answer(raw, port)
            asked = self._asked.get(said.sequence) if said is not None else None
            if said is None or asked is None or said.port != asked.port:
                continue
            if self.found.get(asked) not in _FIRM:
                self.found[asked] = said.reply
            if said.reply is Reply.OPEN:
                reset = self._frame(asked, RST, said.sequence + 1)
                reset[0].send(reset[1])

    def _frame(self, each: Knock, flags: int, sequence: int) -> tuple[Wire, bytes]:
        version = each.source.version
        our_mac = self._links[each.interface].mac
        head = Head(our_mac, each.mac, each.source, self._ports[version], each.destination, each.port)
        return self._wires[each.interface, version], segment(head, flags, sequence)


@contextmanager
def _port(version: int) -> Iterator[int]:
    """A port that nobody else of this node gets meanwhile."""
    with socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6) as held:
        held.bind(("", 0))
        yield held.getsockname()[1]


def _versions(knocks: Sequence[Knock]) -> list[int]:
    return list(dict.fromkeys(each.source.version for each in knocks))
