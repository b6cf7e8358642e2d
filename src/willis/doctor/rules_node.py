"""Faults of the node itself: interfaces, addresses, reverse path filter, sizes of packets, clocks. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from willis.doctor import fixes
from willis.doctor.finding import Finding, Fix, Severity
from willis.doctor.seen import Link, Seen, Size
from willis.doctor.sites import addresses_of, vips_named, vips_of
from willis.model.config import Config
from willis.model.node import Interface
from willis.model.service import Forwarding

_SKEW_S = 5.0
"""HTTP dates are whole seconds; beyond this, audit trails and Kerberos begin to suffer."""


def interfaces(config: Config, seen: Seen) -> Iterator[Finding]:
    """Interfaces and addresses that the document says this node has."""
    for interface in config.interfaces:
        link = seen.links.get(interface.name)
        if link is None and seen.links:
            known = ", ".join(sorted(seen.links))
            what = f"this node has no interface {interface.name}, which the document names"
            fix = Fix(willis=("# correct 'interfaces' in the document, and apply it",))
            yield Finding(Severity.ERROR, what, interface.name, f"it has {known}", fix)
        elif link is not None and link.mac:
            yield from _carrier(interface, link)
            yield from _addresses(config, interface, link)


def filters(config: Config, seen: Seen) -> Iterator[Finding]:
    """A strict reverse path filter where clients come in by another interface than the default route's.

    Direct routing is decided before the kernel's filter and does not suffer.
    """
    ways = {g.interface for g in seen.gateways if g.address is None or g.address.version == 4}
    for interface in config.interfaces:
        link = seen.links.get(interface.name)
        through = [
            s.name
            for s in config.services
            if s.forwarding is not Forwarding.DR
            and s.vip.version == 4
            and config.interface_to(s.vip) is interface
        ]
        if link is None or not link.strict or not through or not ways or interface.name in ways:
            continue
        what = (
            f"the kernel drops clients of {', '.join(through)} from other networks: they come in by "
            f"{interface.name}, and the default route leaves by {', '.join(sorted(ways))}"
        )
        evidence = f"net.ipv4.conf.{interface.name}.rp_filter is 1 (strict)"
        yield Finding(Severity.WARNING, what, interface.name, evidence, fixes.loose_filter(interface.name))


def sizes(config: Config, seen: Seen) -> Iterator[Finding]:
    """Packets that fit one wire and not the next."""
    known = {i.name: seen.links[i.name] for i in config.interfaces if i.name in seen.links}
    mtus = {name: link.mtu for name, link in known.items() if link.mac}
    if len(set(mtus.values())) > 1:
        listed = ", ".join(f"{name} {mtu}" for name, mtu in sorted(mtus.items()))
        what = "the node's interfaces carry packets of different sizes: large ones are lost between them"
        fix = fixes.mtu(max(mtus, key=mtus.__getitem__), max(mtus.values()))
        yield Finding(Severity.WARNING, what, ", ".join(sorted(mtus)), f"MTU: {listed}", fix)
    for address, host in addresses_of(config).items():
        interface = config.interface_to(address)
        if seen.sizes.get(address) is not Size.SMALL or interface is None:
            continue
        mtu = mtus.get(interface.name, 0)
        what = (
            f"packets of {mtu} bytes do not reach {host} or do not come back: connections open and then hang"
        )
        evidence = f"{address} answers a ping of 84 bytes, and none of {mtu} that may not be fragmented"
        yield Finding(Severity.WARNING, what, host, evidence, fixes.mtu(interface.name, mtu))


def clocks(config: Config, seen: Seen) -> Iterator[Finding]:
    """Hosts whose clock is not the node's."""
    known = addresses_of(config)
    for address, ahead in seen.skews.items():
        if abs(ahead) <= _SKEW_S:
            continue
        way = "ahead of" if ahead > 0 else "behind"
        host = known.get(address, str(address))
        what = f"the clock of {host} is {abs(ahead):.0f} s {way} this node's: times in logs do not agree"
        evidence = f"the Date of an HTTP answer of {address}"
        yield Finding(Severity.WARNING, what, host, evidence, fixes.clock())


def _carrier(interface: Interface, link: Link) -> Iterator[Finding]:
    if not link.carrier:
        what = f"{interface.name} has no carrier: its cable or its switch port is dead, or it is switched off"
        fix = Fix(willis=(f"ip link set {interface.name} up", "# then look at the cable and the switch port"))
        yield Finding(Severity.ERROR, what, interface.name, "the kernel reports no carrier", fix)


def _addresses(config: Config, interface: Interface, link: Link) -> Iterator[Finding]:
    held = ", ".join(str(a) for a in sorted(link.addresses, key=lambda a: (a.version, int(a)))) or "none"
    lacking = [own for own in interface.addresses if own.ip not in link.addresses]
    if lacking:
        named = ", ".join(map(str, lacking))
        what = f"{interface.name} lacks {named}, which the document says is this node's own"
        fix = Fix(
            willis=(
                *(f"ip address replace {own} dev {interface.name}" for own in lacking),
                "# and in the operating system's network configuration; or correct the document",
            )
        )
        yield Finding(Severity.ERROR, what, interface.name, f"it has {held}", fix)
    vips = [vip for vip in vips_of(config) if config.interface_to(vip) is interface]
    missing = [vip for vip in vips if vip not in link.addresses]
    if missing:
        what = f"{vips_named(missing)} is not on {interface.name}: nobody answers for it"
        fix = Fix(willis=("willis status   # the engine 'addresses' says why it cannot put it there",))
        yield Finding(Severity.ERROR, what, interface.name, f"it has {held}", fix)
