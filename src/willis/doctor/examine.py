"""One examination: what to look at, the looks, and the rules about what was seen.

Harmless and bounded: no cache learns a thing, no application accepts a connection, and it takes
about two seconds however large the site is. Blocks; it belongs into a thread of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from willis.doctor import (
    clocks,
    kernel,
    neighbours,
    path,
    rules_node,
    rules_path,
    rules_return,
    rules_service,
    rules_wire,
    size,
)
from willis.doctor.finding import Finding, Report, Severity
from willis.doctor.seen import Learnt, Link, Place, Seen, Size
from willis.doctor.sites import addresses_of, counted, own_addresses, vips_of
from willis.model.config import Config
from willis.model.node import Interface
from willis.model.service import Address
from willis.model.status import Status
from willis.plan.members import targets

_MOST_PLACES = 2000
"""Addresses asked for; at most so many broadcasts, twice."""
_ORDER = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}
_NO_RIGHT = "the engine may not use raw sockets; run it as root or give it CAP_NET_RAW"


class _Log:
    """What was looked at, and what was not and why."""

    def __init__(self) -> None:
        self.looked_at: list[str] = []
        self.passed_over: list[str] = []


def examine(config: Config, status: Status, learnt: Learnt) -> Report:
    """Look at everything once. Never raises OSError: what fails is told as not looked at."""
    began = time.monotonic()
    log = _Log()
    seen = _look(config, status, log)
    log.looked_at.append(f"the settings of {counted(len(config.services), 'service')}")
    findings = [
        *rules_wire.thieves(config, seen),
        *rules_path.paths(config, seen),
        *rules_return.returns(config, seen),
        *rules_node.interfaces(config, seen),
        *rules_node.filters(config, seen),
        *rules_node.sizes(config, seen),
        *rules_node.clocks(config, seen),
        *rules_service.timeouts(config, seen),
        *rules_wire.strangers(config, seen),
        *rules_service.skews(config, learnt),
        *rules_service.shallow(config),
    ]
    took_ms = round((time.monotonic() - began) * 1000, 1)
    return Report(_sorted(findings), tuple(log.looked_at), tuple(log.passed_over), took_ms)


def _look(config: Config, status: Status, log: _Log) -> Seen:
    seen = Seen(settings=kernel.settings())
    try:
        seen = replace(seen, links=kernel.links(), gateways=kernel.gateways())
        seen = _ask(config, seen, log)
        return _knock(config, status, seen, log)
    except PermissionError:
        log.passed_over.append(f"the network: {_NO_RIGHT}")
    except OSError as error:
        log.passed_over.append(f"the network: {error}")
    return seen


def _ask(config: Config, seen: Seen, log: _Log) -> Seen:
    """Add who owns which address."""
    wires = _wires(config, seen.links, log)
    gateways = [(g.interface, g.address) for g in seen.gateways if g.address is not None]
    places = _places(config, wires, gateways, log)
    if not places:
        return seen
    own = own_addresses(config, seen.links)
    owners = neighbours.owners(places, wires, own, frozenset(vips_of(config)))
    vips = len({address for _, address in places} & set(vips_of(config)))
    hosts = len({address for _, address in places} & set(addresses_of(config)))
    log.looked_at.append(
        f"who answers for {counted(vips, 'VIP')} and {counted(hosts, 'host')} on {', '.join(wires)}"
    )
    return replace(seen, owners=owners)


def _knock(config: Config, status: Status, seen: Seen, log: _Log) -> Seen:
    """Add what comes of knocking, of large packets, and of asking for the time: all at once."""
    direct, halted = rules_path.knocks(config, status, seen)
    returning, far = rules_return.knocks(config, seen)
    log.passed_over += [*halted, *far]
    near = {address: seen.links[i.name].mtu for address, i in _near(config, seen)}
    with ThreadPoolExecutor(3) as pool:
        replies = pool.submit(path.knock, list(dict.fromkeys([*direct, *returning])), seen.links)
        sizes = pool.submit(size.sizes, near)
        skews = pool.submit(clocks.skews, targets(config))
        seen = replace(seen, replies=replies.result(), sizes=sizes.result(), skews=skews.result())
    if direct:
        log.looked_at.append(
            f"the path of direct routing, by {counted(len(direct), 'SYN')} with the servers' MACs"
        )
    if returning:
        hosts = len({each.destination for each in returning})
        log.looked_at.append(f"the way back from {counted(hosts, 'host')} of NAT or transparent services")
    mute = [addresses_of(config)[address] for address, told in seen.sizes.items() if told is Size.NONE]
    if len(mute) < len(near):
        log.looked_at.append(f"packets of full size to {counted(len(near) - len(mute), 'host')}")
    if mute:
        log.passed_over.append(f"packets of full size to {', '.join(mute)}: they answer no ping")
    if seen.skews:
        log.looked_at.append(f"the clocks of {counted(len(seen.skews), 'host')}")
    return seen


def _near(config: Config, seen: Seen) -> Iterator[tuple[Address, Interface]]:
    """Hosts that somebody answers for, with the interface towards them."""
    for address in addresses_of(config):
        interface = config.interface_to(address)
        if interface is not None and seen.owners.get((interface.name, address)):
            yield address, interface


def _wires(config: Config, links: Mapping[str, Link], log: _Log) -> dict[str, Link]:
    """The document's interfaces that are Ethernet and up."""
    found = {}
    for interface in config.interfaces:
        link = links.get(interface.name)
        if link is None:
            log.passed_over.append(f"{interface.name}: this node has no such interface")
        elif not link.mac:
            log.passed_over.append(f"{interface.name}: it is no Ethernet, so nobody can steal there")
        elif not link.carrier:
            log.passed_over.append(f"{interface.name}: it has no carrier")
        else:
            found[interface.name] = link
    return found


def _places(config: Config, wires: Iterable[str], more: Iterable[Place], log: _Log) -> list[Place]:
    """What to ask for: hosts and gateways where they live, VIPs on every interface."""
    hosts = [(config.interface_to(address), address) for address in addresses_of(config)]
    wanted: list[Place] = [(i.name, address) for i, address in hosts if i is not None and i.name in wires]
    wanted += [place for place in more if place[0] in wires]
    wanted += [(name, vip) for name in wires for vip in vips_of(config)]
    wanted = list(dict.fromkeys(wanted))
    if len(wanted) > _MOST_PLACES:
        log.passed_over.append(f"{len(wanted) - _MOST_PLACES} addresses: more than {_MOST_PLACES} in one go")
    return wanted[:_MOST_PLACES]


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: _ORDER[finding.severity]))
