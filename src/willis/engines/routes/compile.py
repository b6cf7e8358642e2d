"""From Config to the policy routing that the proxy needs. Pure.

A *way back*, one a family, while a service is transparent: a real server answers to the
client's address, so the kernel would pass the answer on instead of giving it to the proxy.
nftables marks what belongs to a transparent socket, a rule sends the mark to a table, and
the table says that everything is local (Documentation/networking/tproxy.rst in the kernel).

A *quick route*, one a real server whose answers are acknowledged at once: a host route with
``quickack``, which the kernel obeys for every connection to that address.
"""

from __future__ import annotations

from dataclasses import dataclass

from willis.model.config import Config
from willis.model.service import Address, Forwarding, VirtualService
from willis.model.status import Status
from willis.plan.marks import MASK, RETURNING

TABLE = 22_360
"""The routing table of the way back: no name, and far from the numbers that people choose."""
PRIORITY = 100
"""Of the rule: after the kernel's local table (0), before the main table (32766) and others' usual ones."""
NFT_TABLE = "inet willis_proxy"


@dataclass(frozen=True, slots=True)
class Rule:
    """``ip rule``: packets with our mark are looked up in our table."""

    family: int
    mark: int = RETURNING
    mask: int = MASK
    table: int = TABLE
    priority: int = PRIORITY


@dataclass(frozen=True, slots=True)
class Local:
    """``ip route``: in our table every address is local."""

    family: int
    table: int = TABLE


@dataclass(frozen=True, slots=True)
class Marking:
    """The table of nftables that marks answers to transparent sockets, as a whole."""

    stamp: str
    """Empty where what is there is not whole."""


@dataclass(frozen=True, slots=True)
class Quick:
    """A host route with ``quickack``."""

    address: Address
    straight: bool = True
    """Whether it goes the way that packets would take without it."""


def compile_routes(config: Config, status: Status) -> dict[str, Rule | Local | Marking | Quick]:
    """Ways back and quick routes; nothing for a site that needs neither."""
    found: dict[str, Rule | Local | Marking | Quick] = {}
    for family in sorted({s.vip.version for s in config.services if is_transparent(s)}):
        found[f"rule/{family}"] = Rule(family)
        found[f"local/{family}"] = Local(family)
        found["marking/proxy"] = Marking(STAMP)
    for service in config.services:
        if service.acknowledges_at_once:
            for server in (*service.pool, *((service.fallback,) if service.fallback else ())):
                found[f"quick/{server.address}"] = Quick(server.address)
    return found


def is_transparent(service: VirtualService) -> bool:
    """Whether its real servers see the client's own address."""
    return service.transparent and service.forwarding is Forwarding.PROXY


STAMP = f"willis {RETURNING:#x} 1"
"""The comment of our rules; another number where their text changes."""

_RULES = (
    # Bits outside the mask are the administrator's.
    (
        "returning",
        f"meta l4proto tcp socket transparent 1 meta mark set meta mark & {~MASK & 0xFFFFFFFF:#010x} | "
        f"{RETURNING:#x}",
    ),
    # The node is the servers' gateway: they must not be told a way around it. IPv4 has a setting for that.
    ("told", "icmpv6 type nd-redirect drop"),
)
_CHAINS = {
    "returning": "type filter hook prerouting priority mangle",
    "told": "type filter hook output priority filter",
}


def marking_script() -> str:
    """Makes the table anew in one transaction of nft."""
    lines = [*_gone()]
    lines += [f"add table {NFT_TABLE}"]
    lines += [f"add chain {NFT_TABLE} {name} {{ {what}; policy accept; }}" for name, what in _CHAINS.items()]
    lines += [f'add rule {NFT_TABLE} {chain} {rule} comment "{STAMP}"' for chain, rule in _RULES]
    return "".join(f"{line}\n" for line in lines)


def removal_script() -> str:
    """Removes the table, there or not."""
    return "".join(f"{line}\n" for line in _gone())


def _gone() -> tuple[str, str]:
    return f"add table {NFT_TABLE}", f"delete table {NFT_TABLE}"


def is_whole(rules: list[tuple[str, str]]) -> bool:
    """Whether (chain, comment) of all rules, in their order, are ours and no other."""
    return sorted(rules) == sorted((chain, STAMP) for chain, _ in _RULES)
