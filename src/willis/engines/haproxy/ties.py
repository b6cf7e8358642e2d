"""The clients that a stick table ties to a server, read from ``show table`` and its text. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from willis.engines.port import Client

_ENTRY = re.compile(r"^0x[0-9a-f]+: key=(\S+) .*\bexp=(\d+) .*\bserver_key=(\S+)", re.MULTILINE)
_STICK = (
    r"^backend {name} .*\n(?:[ ].*\n)*?"
    r"[ ]+stick on src,ipmask\((?:32,)?(\d+)\)(?: table (\S+))?(?: unless .*)?$"
)


@dataclass(frozen=True, slots=True)
class Table:
    """A stick table whose keys are clients' addresses, cut to ``prefix`` bits."""

    name: str
    prefix: int


def table(text: str, service: str) -> Table | None:
    """The table that ties this service's clients by address, as the configuration says; None: it has none."""
    found = re.search(_STICK.format(name=re.escape(service)), text, re.MULTILINE)
    return None if found is None else Table(found[2] or service, int(found[1]))


def clients(report: str, prefix: int) -> list[Client]:
    """What ``show table`` answered, in the order of addresses."""
    found = [
        Client(ip_network((ip_address(address), prefix), strict=False), host, int(left_ms) / 1000)
        for address, left_ms, host in _ENTRY.findall(report)
    ]
    return sorted(found, key=lambda client: (client.network.version, client.network.network_address))
