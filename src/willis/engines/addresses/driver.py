"""Holds the VIPs on the node's interfaces through rtnetlink.

Our addresses carry the address protocol number ``PROTOCOL`` (IFA_PROTO, Linux 5.18),
so a restarted daemon knows them again and the administrator's own are never touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from willis.engines import rtnetlink
from willis.engines.addresses.announce import Announcer
from willis.engines.addresses.compile import Vip, compile_vips
from willis.engines.port import EngineError, Traffic
from willis.model.config import Config
from willis.model.status import Status
from willis.plan.diff import Artefacts, Change

PROTOCOL = 0x77
Links = Mapping[str, Any]
"""Interfaces by name, as pyroute2 tells them."""
_FOREVER_S = 0xFFFFFFFF
_IPV6 = {"flags": 0x02, "preferred_lft": 0, "valid_lft": _FOREVER_S}
"""IFA_F_NODAD: owned at once. Not preferred: else the node's own checks would come from the VIP,
and a real server, which has it too, would answer itself."""


class AddressesEngine:
    """The VIPs of this network namespace."""

    name = "addresses"

    def compile(self, config: Config, status: Status) -> Artefacts:
        return compile_vips(config, status)

    def observe(self) -> Artefacts:
        ours = [each for each in rtnetlink.addresses() if each.protocol == PROTOCOL]
        names = {link.index: name for name, link in rtnetlink.links().items()}
        vips = (Vip(each.address, names[each.index]) for each in ours if each.index in names)
        return {f"vip/{vip.address}": vip for vip in vips}

    def check(self, want: Artefacts) -> None:
        """Refuse an interface that this node has not."""
        names = rtnetlink.links()
        for vip in want.values():
            if isinstance(vip, Vip) and vip.interface not in names:
                raise EngineError(
                    f"this node has no interface {vip.interface}, which the VIP {vip.address} needs; "
                    f"it has {', '.join(sorted(names))}: correct 'interfaces' in the document"
                )

    def apply(self, changes: Sequence[Change]) -> None:
        with IPRoute() as route, Announcer() as announcer:
            links = {link.get_attr("IFLA_IFNAME"): link for link in route.get_links()}
            for change in changes:
                if isinstance(change.have, Vip):
                    _request(route, links, "del", change.have)
                if isinstance(change.want, Vip):
                    _request(route, links, "add", change.want)
                    _announce(announcer, links[change.want.interface], change.want)

    def traffic(self) -> dict[tuple[str, str], Traffic]:
        return {}

    def alarms(self) -> tuple[str, ...]:
        return ()

    def refresh(self) -> None:
        """Nothing ages here."""

    def close(self) -> None:
        """The kernel keeps the addresses."""


def _request(route: IPRoute, links: Links, command: str, vip: Vip) -> None:
    """Add or delete one address; what is already so is fine."""
    link = links.get(vip.interface)
    if link is None:
        if command == "add":
            raise EngineError(f"interface {vip.interface} is gone, so {vip.address} has no place")
        return
    try:
        route.addr(
            command,
            index=link["index"],
            address=str(vip.address),
            prefixlen=vip.address.max_prefixlen,
            proto=PROTOCOL,
            **(_IPV6 if vip.address.version == 6 else {}),
        )
    except NetlinkError as error:
        settled = {"add": 17, "del": 99}[command]  # EEXIST, EADDRNOTAVAIL
        if error.code != settled:
            raise EngineError(f"cannot {command} VIP {vip.address} on {vip.interface}: {error}") from error


def _announce(announcer: Announcer, link: Any, vip: Vip) -> None:  # noqa: ANN401 - pyroute2 has no types
    mac = bytes.fromhex(link.get_attr("IFLA_ADDRESS").replace(":", ""))
    try:
        announcer.announce(vip, mac)
    except OSError as error:
        raise EngineError(
            f"VIP {vip.address} is up on {vip.interface} but could not be announced: {error}"
        ) from error
