"""One examination: what to look at, the looks, and the rules about what was seen.

Harmless and bounded: no cache learns a thing, no application accepts a connection, and it takes
about two seconds however large the site is. Blocks; it belongs into a thread of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

from willis.doctor import kernel, neighbours, path, rules_path, rules_wire
from willis.doctor.finding import Finding, Report, Severity
from willis.doctor.seen import Link, Place, Seen
from willis.doctor.sites import addresses_of, own_ipv6, vips_of
from willis.model.config import Config
from willis.model.status import Status

_MOST_PLACES = 2000
"""Addresses asked for; at most so many broadcasts, twice."""
_ORDER = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}
_NO_RIGHT = "the engine may not use raw sockets; run it as root or give it CAP_NET_RAW"


class _Log:
    """What was looked at, and what was not and why."""

    def __init__(self) -> None:
        self.looked_at: list[str] = []
        self.passed_over: list[str] = []


def examine(config: Config, status: Status) -> Report:
    """Look at everything once. Never raises OSError: what fails is told as not looked at."""
    began = time.monotonic()
    log = _Log()
    seen = _look(config, status, log)
    findings = [
        *rules_wire.thieves(config, seen),
        *rules_path.paths(config, status, seen),
        *rules_wire.strangers(config, seen),
    ]
    return Report(
        _sorted(findings),
        tuple(log.looked_at),
        tuple(log.passed_over),
        round((time.monotonic() - began) * 1000, 1),
    )


def _look(config: Config, status: Status, log: _Log) -> Seen:
    try:
        links, gateways = kernel.links(), kernel.gateways()
        wires = _wires(config, links, log)
        places = _places(config, wires, [(g.interface, g.address) for g in gateways if g.address], log)
        owners = neighbours.owners(places, wires, own_ipv6(config))
    except PermissionError:
        log.passed_over.append(f"the network: {_NO_RIGHT}")
        return Seen()
    except OSError as error:
        log.passed_over.append(f"the network: {error}")
        return Seen()
    vips = len({address for _, address in places} & set(vips_of(config)))
    if wires:
        hosts = len(addresses_of(config))
        log.looked_at.append(f"who answers for {vips} VIPs and {hosts} hosts on {', '.join(wires)}")
    return _knock(config, status, Seen(links, gateways, owners), log)


def _knock(config: Config, status: Status, seen: Seen, log: _Log) -> Seen:
    """Add what comes of knocking at direct routing's servers."""
    knocks, passed = rules_path.knocks(config, status, seen)
    log.passed_over += passed
    if not knocks:
        return seen
    replies = path.knock(knocks, seen.links)
    log.looked_at.append(f"the path of direct routing, by {len(replies)} SYNs with the servers' MACs")
    return replace(seen, replies=replies)


def _wires(config: Config, links: dict[str, Link], log: _Log) -> dict[str, Link]:
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
