"""Faults that ARP and neighbour discovery show: who answers for a VIP that is the node's. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from willis.doctor import fixes
from willis.doctor.finding import Finding, Fix, Severity
from willis.doctor.frames import mac_text
from willis.doctor.seen import Seen
from willis.doctor.sites import addresses_of, direct_vips, listed, vips_named, vips_of
from willis.model.config import Config
from willis.model.service import Address

_CROWD = 2
"""Hosts that one MAC answers for; more than one machine has."""


def thieves(config: Config, seen: Seen) -> Iterator[Finding]:
    """Whoever but the node answers for VIPs. One finding a machine, interface and family."""
    for (interface, mac, _), vips in sorted(_taken(config, seen).items()):
        hosts = _hosts_with(config, seen, mac)
        # A virtual network answers for everybody with one MAC, and perhaps in the node's name.
        at_home = any(_is_home(config, interface, vip) for vip in vips) and len(hosts) < _CROWD
        severity = Severity.ERROR if at_home else Severity.WARNING
        evidence = f"{mac_text(mac)} answered on {interface} for {listed(vips)}"
        told = _told(config, seen, mac, hosts, vips, evidence)
        yield Finding(severity, *told, _fix(config, seen, mac, hosts, vips))


def strangers(config: Config, seen: Seen) -> Iterator[Finding]:
    """Hosts that nobody, or more than one, answers for."""
    for address, host in addresses_of(config).items():
        interface = config.interface_to(address)
        macs = seen.owners.get((interface.name, address)) if interface is not None else None
        if interface is None or macs is None:
            continue
        asked = f"asked who has {address} on {interface.name}"
        if not macs:
            what = f"nobody answers for {host}: it is switched off, unplugged or in another VLAN"
            yield Finding(Severity.WARNING, what, host, f"{asked}; no answer", fixes.plug_in(interface.name))
        elif len(macs) > 1:
            what = (
                f"{address} of {host} is answered for by {len(macs)} network cards: two machines have it, or "
                f"{host} has two cards in this subnet"
            )
            evidence = f"{asked}; {', '.join(map(mac_text, sorted(macs)))} answered"
            yield Finding(Severity.WARNING, what, host, evidence, fixes.find(map(mac_text, sorted(macs))))


def _taken(config: Config, seen: Seen) -> dict[tuple[str, bytes, int], list[Address]]:
    found: dict[tuple[str, bytes, int], list[Address]] = {}
    for vip in vips_of(config):
        for (interface, address), macs in seen.owners.items():
            for mac in macs if address == vip else ():
                found.setdefault((interface, mac, vip.version), []).append(vip)
    return found


def _told(
    config: Config, seen: Seen, mac: bytes, hosts: list[str], vips: list[Address], evidence: str
) -> tuple[str, str, str]:
    """What, where and evidence."""
    protocol = "ARP" if vips[0].version == 4 else "neighbour solicitations"
    named = vips_named(vips)
    router = _router(seen, mac)
    if len(hosts) >= _CROWD:
        what = f"{named}: {protocol} is answered by a router or a virtual network that answers for all"
        return what, mac_text(mac), f"{evidence}, and for {' and '.join(hosts)} too"
    if hosts:
        own = next(a for a, name in addresses_of(config).items() if name == hosts[0] and _has(seen, a, mac))
        what = f"real server {hosts[0]} answers {protocol} for {named}: it steals the node's traffic"
        return what, hosts[0], f"{evidence}, and for {hosts[0]}'s own {own}"
    if router is not None:
        what = f"the router {router} answers {protocol} for {named}: it steals the node's traffic (proxy ARP)"
        return what, str(router), f"{evidence}, and for the node's default gateway {router}"
    what = f"{named} already in use by the machine with MAC {mac_text(mac)}, which is no host of the document"
    return what, str(vips[0]), evidence


def _fix(config: Config, seen: Seen, mac: bytes, hosts: list[str], vips: Sequence[Address]) -> Fix:
    if len(hosts) != 1:
        known = bool(hosts) or _router(seen, mac) is not None
        return fixes.no_proxy_arp(vips[0].version) if known else fixes.find((mac_text(mac),))
    host = hosts[0]
    address = next(a for a, name in addresses_of(config).items() if name == host)
    owned = direct_vips(config, host)
    mine = [vip for vip in vips if vip in owned]
    others = [vip for vip in vips if vip not in owned]
    parts = [fixes.own_quietly(mine, address)] if mine else []
    parts += [fixes.leave(others)] if others else []
    return Fix(
        tuple(line for part in parts for line in part.linux),
        tuple(line for part in parts for line in part.windows),
    )


def _hosts_with(config: Config, seen: Seen, mac: bytes) -> list[str]:
    """The hosts whose own address this MAC answers for."""
    known = addresses_of(config)
    return list(dict.fromkeys(name for address, name in known.items() if _has(seen, address, mac)))


def _has(seen: Seen, address: Address, mac: bytes) -> bool:
    return any(mac in macs for (_, asked), macs in seen.owners.items() if asked == address)


def _router(seen: Seen, mac: bytes) -> Address | None:
    gateways = (gateway.address for gateway in seen.gateways)
    return next((each for each in gateways if each is not None and _has(seen, each, mac)), None)


def _is_home(config: Config, interface: str, vip: Address) -> bool:
    home = config.interface_to(vip)
    return home is not None and home.name == interface
