"""Direct routing, seen by knocking: whether each real server owns the VIP and listens on it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from willis.doctor import fixes
from willis.doctor.finding import Finding, Severity
from willis.doctor.seen import Knock, Reply, Seen
from willis.doctor.sites import listed, servers_of, some, vips_named
from willis.model.config import Config
from willis.model.service import Address, Forwarding, Protocol, RealServer, VirtualService
from willis.model.status import Admin, Status
from willis.plan.members import admin_of

PORTS = 8
"""Of one service are knocked at; a range may have thousands."""
_MOST = 2000
"""SYNs of one examination."""
_ANSWERED = (Reply.OPEN, Reply.CLOSED)


@dataclass(slots=True)
class _Door:
    """One VIP at one host."""

    host: str
    address: Address
    vip: Address
    tcp: dict[int, Reply] = field(default_factory=dict)
    udp: dict[int, Reply] = field(default_factory=dict)
    """TCP replies on the ports of UDP services: they only show who owns the VIP."""
    own: dict[int, Reply] = field(default_factory=dict)
    """Of the host's own address on the same ports."""

    @property
    def replies(self) -> list[Reply]:
        return [*self.tcp.values(), *self.udp.values()]

    def on(self, reply: Reply) -> list[int]:
        return sorted(port for port, said in self.tcp.items() if said is reply)


def knocks(config: Config, status: Status, seen: Seen) -> tuple[list[Knock], list[str]]:
    """What to knock at, and whom not and why."""
    found: list[Knock] = []
    passed = []
    for service, server in _direct(config):
        if admin_of(status, service.name, server.host) is Admin.HALT:
            passed.append(f"{server.host} in {service.name}: halted by an administrator")
            continue
        if len(found) > _MOST:
            passed.append(f"{server.host} in {service.name}: enough SYNs in one go")
            continue
        found += _knocks(config, seen, service, server, service.vip)
        found += _knocks(config, seen, service, server, server.address)
    return list(dict.fromkeys(found)), list(dict.fromkeys(passed))


def paths(config: Config, seen: Seen) -> Iterator[Finding]:
    """One finding a host and kind of fault. Of a host that passes on what is for its own address too,
    its port leads to a container: a hop limit of 1 tells nothing there."""
    by_host: dict[str, list[_Door]] = {}
    for door in _doors(config, seen):
        if Reply.PASSED_ON not in door.own.values():
            by_host.setdefault(door.host, []).append(door)
    for doors in by_host.values():
        owned = [door for door in doors if set(door.replies) & {*_ANSWERED}]
        yield from _missing([door for door in doors if door not in owned])
        for runs in (True, False):
            yield from _closed(owned, runs)
        yield from _barred(owned)


def _missing(doors: Sequence[_Door]) -> Iterator[Finding]:
    """Nothing that is for these VIPs arrives. The host's own address tells why it may be."""
    sure = [door for door in doors if _alive(door) or Reply.PASSED_ON in door.replies]
    unsure = [door for door in doors if door not in sure]
    if sure:
        vips, host = [door.vip for door in sure], sure[0].host
        passed = any(Reply.PASSED_ON in door.replies for door in sure)
        what = f"{host} does not own {vips_named(vips)} (missing on its loopback): what it is sent is lost"
        how = "it passed it on as a router would" if passed else "no answer, though its own address answers"
        evidence = f"a SYN to {_ports(sure)} with {host}'s MAC: {how}"
        only_udp = not any(door.tcp for door in sure)
        severity = Severity.WARNING if only_udp and not passed else Severity.ERROR
        yield Finding(severity, what, host, evidence, fixes.own_quietly(vips, sure[0].address))
    if unsure:
        host, vips = unsure[0].host, [door.vip for door in unsure]
        what = f"{host} answers neither for {vips_named(vips)} nor on its own address: hung, or firewalled"
        evidence = f"a SYN to {_ports(unsure)}, and one to {unsure[0].address}: no answer"
        yield Finding(
            Severity.WARNING,
            what,
            host,
            evidence,
            fixes.let_in([(d.vip, port) for d in unsure for port in d.tcp]),
        )


def _closed(doors: Sequence[_Door], runs: bool) -> Iterator[Finding]:
    """Owned, and nobody listens. ``runs``: those that listen on the host's own address."""
    shut = [
        (door.vip, port)
        for door in doors
        for port in door.on(Reply.CLOSED)
        if (door.own.get(port) is Reply.OPEN) is runs
    ]
    if not shut:
        return
    why = (
        "its application listens on its own address only"
        if runs
        else "nor on its own address, so the application does not run"
    )
    host = doors[0].host
    what = f"{host} has the VIP but nothing listens on {some(_literals(shut))}: {why}"
    evidence = f"a SYN to {listed(_literals(shut))} with {host}'s MAC was answered by RST"
    yield Finding(Severity.ERROR, what, host, evidence, fixes.listen_on(shut))


def _barred(doors: Sequence[_Door]) -> Iterator[Finding]:
    """Owned, and some ports are silent or refused by ICMP, as only a firewall does it."""
    shut = [(d.vip, port) for d in doors for port in (*d.on(Reply.FORBIDDEN), *d.on(Reply.SILENT))]
    if not shut:
        return
    host = doors[0].host
    what = f"{host} has the VIP, but its firewall keeps {some(_literals(shut))} shut"
    evidence = f"a SYN to {listed(_literals(shut))} with {host}'s MAC was refused or dropped; others were not"
    yield Finding(Severity.ERROR, what, host, evidence, fixes.let_in(shut))


def _alive(door: _Door) -> bool:
    return bool({*door.own.values()} & {*_ANSWERED})


def _direct(config: Config) -> Iterator[tuple[VirtualService, RealServer]]:
    for service in config.services:
        if service.forwarding is Forwarding.DR:
            yield from ((service, server) for server in servers_of(service))


def _knocks(
    config: Config, seen: Seen, service: VirtualService, server: RealServer, to: Address
) -> list[Knock]:
    interface, source = config.interface_to(server.address), config.own_address_facing(server.address)
    if interface is None or source is None:
        return []
    macs = seen.owners.get((interface.name, server.address))
    if not macs or source.version != to.version:
        return []
    return [Knock(interface.name, min(macs), source, to, port) for port in service.ports[:PORTS]]


def _doors(config: Config, seen: Seen) -> Iterator[_Door]:
    found: dict[tuple[str, Address], _Door] = {}
    for service, server in _direct(config):
        replies = _replies(config, seen, service, server, service.vip)
        if not replies:
            continue
        key = (server.host, service.vip)
        door = found.setdefault(key, _Door(server.host, server.address, service.vip))
        (door.tcp if service.protocol is Protocol.TCP else door.udp).update(replies)
        door.own.update(_replies(config, seen, service, server, server.address))
    yield from found.values()


def _replies(
    config: Config, seen: Seen, service: VirtualService, server: RealServer, to: Address
) -> Mapping[int, Reply]:
    asked = _knocks(config, seen, service, server, to)
    return {knock.port: seen.replies[knock] for knock in asked if knock in seen.replies}


def _ports(doors: Sequence[_Door]) -> str:
    return listed(_literals([(door.vip, port) for door in doors for port in (*door.tcp, *door.udp)]))


def _literals(doors: Sequence[tuple[Address, int]]) -> list[str]:
    return [f"[{vip}]:{port}" if vip.version == 6 else f"{vip}:{port}" for vip, port in doors]
