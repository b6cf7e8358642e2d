"""NAT and transparent proxies: whether a server's answers to clients come back by the node. Pure.

A SYN with a client's address goes to the server itself. Its answer must come to the node, which
stands for the client; by any other way it is lost, and connections time out though both ends work.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from willis.doctor import fixes
from willis.doctor.finding import Finding, Severity
from willis.doctor.seen import Knock, Reply, Seen
from willis.doctor.sites import direct_vips, servers_of
from willis.model.config import Config
from willis.model.service import Address, Forwarding, RealServer, VirtualService

_STRANGERS: tuple[Address, ...] = (
    IPv4Address("192.0.2.1"),
    IPv4Address("198.51.100.1"),
    IPv4Address("203.0.113.1"),
    IPv6Address("2001:db8::1"),
    IPv6Address("3fff::1"),
)
"""Of networks that nobody has (RFC 5737, 3849 and 9637): an answer that goes astray ends at a router."""
_ANSWERED = (Reply.OPEN, Reply.CLOSED)


def knocks(config: Config, seen: Seen) -> tuple[list[Knock], list[str]]:
    """What to knock at, as a client and as the node, and whom not and why."""
    found: list[Knock] = []
    passed = []
    for service, server in _returning(config):
        pair = _pair(config, seen, service, server)
        if pair is None and config.interface_to(server.address) is None:
            passed.append(f"the way back from {server.host}: it is in no subnet of this node")
        found += pair or ()
    return list(dict.fromkeys(found)), list(dict.fromkeys(passed))


def returns(config: Config, seen: Seen) -> Iterator[Finding]:
    """One finding a host."""
    told = set()
    for service, server in _returning(config):
        pair = _pair(config, seen, service, server)
        if pair is None or server.host in told:
            continue
        as_client, as_node = (seen.replies.get(each) for each in pair)
        if as_client is None or as_client in _ANSWERED or as_node not in _ANSWERED:
            continue
        told.add(server.host)
        node = pair[1].source
        what = (
            f"what {server.host} answers to clients does not come back by this node: its gateway is not "
            f"{node}, or it has no route to other networks"
        )
        evidence = (
            f"a SYN to {server.address} port {pair[0].port} from {pair[0].source} was not answered here, "
            f"one from {node} was; {service.name} ({_mode(service)}) needs it"
        )
        fix = fixes.gateway(node, server.address, bool(direct_vips(config, server.host)))
        yield Finding(Severity.ERROR, what, server.host, evidence, fix)


def _returning(config: Config) -> Iterator[tuple[VirtualService, RealServer]]:
    for service in config.services:
        if service.forwarding is Forwarding.NAT or service.transparent:
            yield from ((service, server) for server in servers_of(service))


def _pair(
    config: Config, seen: Seen, service: VirtualService, server: RealServer
) -> tuple[Knock, Knock] | None:
    """The same SYN from a client and from the node; the second shows that the server answers at all."""
    interface, own = config.interface_to(server.address), config.own_address_facing(server.address)
    if interface is None or own is None or not service.ports:
        return None
    macs = seen.owners.get((interface.name, server.address))
    stranger = next((a for a in _STRANGERS if a.version == own.version and not config.interface_to(a)), None)
    if not macs or stranger is None:
        return None
    port = server.port or service.ports[0]
    as_client, as_node = (
        Knock(interface.name, min(macs), source, server.address, port) for source in (stranger, own)
    )
    return as_client, as_node


def _mode(service: VirtualService) -> str:
    return "NAT" if service.forwarding is Forwarding.NAT else "transparent"
