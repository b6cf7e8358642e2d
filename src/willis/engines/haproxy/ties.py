"""The clients that a stick table ties to a server, read from ``show table`` and its text. Pure."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

from willis.engines.port import Client

_ENTRY = re.compile(r"^0x[0-9a-f]+: key=(\S+) .*\bexp=(\d+) .*\bserver_key=(\S+)", re.MULTILINE)
_MASK = r"^(?:listen|backend) {name} .*\n(?:[ ].*\n)*?[ ]+stick on src,ipmask\((?:32,)?(\d+)\)"


def mask(text: str, service: str) -> int | None:
    """The prefix that the configuration's stick table of this service is keyed by; None: it has none."""
    found = re.search(_MASK.format(name=re.escape(service)), text, re.MULTILINE)
    return None if found is None else int(found[1])


def clients(report: str, prefix: int) -> list[Client]:
    """What ``show table`` answered, in the order of addresses."""
    found = [
        Client(ip_network((ip_address(address), prefix), strict=False), host, int(left_ms) / 1000)
        for address, left_ms, host in _ENTRY.findall(report)
    ]
    return sorted(found, key=lambda client: (client.network.version, client.network.network_address))
