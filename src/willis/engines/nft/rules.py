"""The rules that never change, as nftables reads them. Pure.

They only look marks up; all that a site says stands in elements of maps and sets. So a
change of the site adds and deletes elements and no chain is ever recreated while it
serves: deleting and recreating a table in one transaction refuses connections.

Every rule carries a comment with the digest of all rules and its number. By them the
rules are known again, in whatever words a version of nft lists them.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from willis.plan.marks import MASK, OURS

TABLE = "inet willis"
"""Ours alone. The administrator's own tables are never read or changed."""

MAPS = {
    "address4": "type mark : ipv4_addr",
    "endpoint4": "type mark : ipv4_addr . inet_service",
    "address6": "type mark : ipv6_addr",
    "endpoint6": "type mark : ipv6_addr . inet_service",
    "source4": "type mark : ipv4_addr",
    "source6": "type mark : ipv6_addr",
    "timing": "type mark : verdict",
}
"""Where a mark's packets go, whom the server sees, how long a silent connection is remembered."""

SETS = {"routed": "type mark", "replies": "type mark; counter", "down": "type mark"}
"""Marks that are masqueraded; the bytes of replies; marks of members that carry nothing (a note)."""

CHAINS = {
    "to_server": "type nat hook prerouting priority dstnat",
    "from_node": "type nat hook postrouting priority srcnat",
    "replied": "type filter hook forward priority filter",
    "told": "type filter hook output priority filter",
}

_OURS = f"meta mark & {MASK:#x} == {OURS:#x}"
_PORTS = "meta l4proto { tcp, udp }"

_RULES = (
    # A nat chain sees only a connection's first packet, so all others pay nothing here. Conntrack
    # keeps the mark, for the source in postrouting and for the replies.
    ("to_server", f"{_OURS} ct mark set meta mark meta mark vmap @timing"),
    ("to_server", f"{_OURS} {_PORTS} dnat ip to meta mark map @endpoint4"),
    ("to_server", f"{_OURS} dnat ip to meta mark map @address4"),
    ("to_server", f"{_OURS} {_PORTS} dnat ip6 to meta mark map @endpoint6"),
    ("to_server", f"{_OURS} dnat ip6 to meta mark map @address6"),
    # Chosen and not known here, for the moment in which both engines take a change: the client
    # sends again. Let through, it would meet a closed port of the node and be refused.
    ("to_server", f"{_OURS} drop"),
    ("from_node", "snat ip to ct mark map @source4"),
    ("from_node", "snat ip6 to ct mark map @source6"),
    ("from_node", "ct mark @routed masquerade"),
    ("replied", "ct direction reply ct mark @replies"),
    # IPv6 has no send_redirects setting: servers must not be told a way around the node.
    ("told", "icmpv6 type nd-redirect drop"),
)


@dataclass(frozen=True, slots=True)
class Base:
    """The rules as a whole."""

    digest: str
    """Of the text; empty where what is there is not whole."""

    @property
    def key(self) -> str:
        return "base/inet"


BASE = Base(sha256(repr((MAPS, SETS, CHAINS, _RULES)).encode()).hexdigest()[:16])


def stamps() -> list[tuple[str, str]]:
    """Chain and comment of every rule, in order."""
    return [
        (chain, f"willis {BASE.digest} {number}/{len(_RULES)}") for number, (chain, _) in enumerate(_RULES, 1)
    ]


def base_lines() -> list[str]:
    """Makes the rules, or mends what is there, in one transaction and without a gap."""
    lines = [f"add table {TABLE}"]
    lines += [f"add map {TABLE} {name} {{ {declared}; }}" for name, declared in MAPS.items()]
    lines += [f"add set {TABLE} {name} {{ {declared}; }}" for name, declared in SETS.items()]
    for name, declared in CHAINS.items():
        lines += [f"add chain {TABLE} {name} {{ {declared}; policy accept; }}", f"flush chain {TABLE} {name}"]
    for (chain, rule), (_, stamp) in zip(_RULES, stamps(), strict=True):
        lines.append(f'add rule {TABLE} {chain} {rule} comment "{stamp}"')
    return lines
