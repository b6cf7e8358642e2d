"""Holds rules and routes through rtnetlink, in the network namespace of the calling thread.

Ours carry the protocol number ``PROTOCOL``, so a restarted daemon knows them again and the
administrator's own are never touched.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Hashable, Sequence
from ipaddress import ip_network
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from willis.engines import rtnetlink
from willis.engines.port import EngineError, Traffic
from willis.engines.routes import marking
from willis.engines.routes.compile import Local, Marking, Quick, Rule, compile_routes
from willis.engines.rtnetlink import Route
from willis.model.config import Config
from willis.model.service import Address
from willis.model.status import Status
from willis.plan.diff import Artefacts, Change

PROTOCOL = 0x77
_MAIN = 254
_ANY_SCOPE = 255
"""RT_SCOPE_NOWHERE: a deletion that asks for no certain scope."""
_UNICAST, _LOCAL = 1, 2
"""RTN_UNICAST, RTN_LOCAL."""
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_ANY = {4: "0.0.0.0/0", 6: "::/0"}

_Message = Any  # pyroute2 has no types
Way = tuple[int | None, Address | None]
"""Interface index and gateway."""


class RoutesEngine:
    """Ways back to the proxy, and quick routes to real servers."""

    name = "routes"

    def __init__(self) -> None:
        self._wanted: frozenset[Address] = frozenset()
        """Quick routes as of the last compile: only for them does an administrator's own route matter."""
        self._alarms: tuple[str, ...] = ()

    def compile(self, config: Config, status: Status) -> Artefacts:
        want = compile_routes(config, status)
        self._wanted = frozenset(q.address for q in want.values() if isinstance(q, Quick))
        return want

    def observe(self) -> Artefacts:
        """What is ours in the kernel. A quick route that cannot be counts as there; an alarm tells it."""
        found: dict[str, Hashable] = {}
        routes = rtnetlink.routes()
        with IPRoute() as ip:
            for family in _FAMILY:
                found |= _rules(ip, family) | _locals(routes, family)
        table = marking.read()
        if table is not None:
            found["marking/proxy"] = table
        return found | self._quick(_main(routes))

    def check(self, want: Artefacts) -> None:
        """Have nft try the marking. Raises EngineError."""
        if any(isinstance(each, Marking) for each in want.values()):
            marking.check()

    def apply(self, changes: Sequence[Change]) -> None:
        """Each for itself; a table of its own stands before the rule that leads to it."""
        with IPRoute() as ip:
            for change in sorted(changes, key=_order):
                if change.have is not None and not isinstance(change.have, Marking | Quick):
                    _DO[type(change.have)](ip, "del", change.have)
                if isinstance(change.have, Quick) and change.want is None:
                    _quick(ip, "del", change.have)
                if isinstance(change.want, Marking):
                    marking.make()
                elif isinstance(change.have, Marking):
                    marking.remove()
                elif change.want is not None:
                    _DO[type(change.want)](ip, "add", change.want)

    def traffic(self) -> dict[tuple[str, str], Traffic]:
        return {}

    def alarms(self) -> tuple[str, ...]:
        """Real servers whose answers cannot be acknowledged at once."""
        return self._alarms

    def refresh(self) -> None:
        """Nothing ages here."""

    def close(self) -> None:
        """The kernel keeps them."""

    def _quick(self, main: list[Route]) -> dict[str, Quick]:
        found, alarms = {}, []
        for each in main:
            if each.protocol == PROTOCOL and each.destination.prefixlen == each.destination.max_prefixlen:
                address = each.destination.network_address
                way = _without_ours(address, main)
                found[f"quick/{address}"] = Quick(address, straight=way is None or way == _way(each))
        for address in sorted(self._wanted, key=str):
            if f"quick/{address}" in found:
                continue
            if any(_is_to(each, address) for each in main):
                alarms.append(
                    f"{address} has a route of its own that somebody made, so its answers are not "
                    f"acknowledged at once; add 'quickack 1' to that route, or remove it"
                )
                found[f"quick/{address}"] = Quick(address)
            elif _without_ours(address, main) is None:
                alarms.append(f"this node has no route to {address}, so none could be made quick")
                found[f"quick/{address}"] = Quick(address)
        self._alarms = tuple(alarms)
        return found


def _order(change: Change) -> int:
    return ["local", "rule", "marking", "quick"].index(change.kind) * (1 if change.want is not None else -1)


def _rules(ip: IPRoute, family: int) -> dict[str, Hashable]:
    return {
        f"rule/{family}": Rule(
            family,
            _attr(each, "FRA_FWMARK") or 0,
            _attr(each, "FRA_FWMASK") or 0,
            _attr(each, "FRA_TABLE") or 0,
            _attr(each, "FRA_PRIORITY") or 0,
        )
        for each in ip.get_rules(family=_FAMILY[family])
        if _attr(each, "FRA_PROTOCOL") == PROTOCOL
    }


def _main(routes: list[Route]) -> list[Route]:
    return [each for each in routes if each.table == _MAIN]


def _locals(routes: list[Route], family: int) -> dict[str, Hashable]:
    return {
        f"local/{family}": Local(family, each.table)
        for each in routes
        if each.destination == ip_network(_ANY[family]) and each.protocol == PROTOCOL and each.kind == _LOCAL
    }


def _rule(ip: IPRoute, command: str, rule: Rule) -> None:
    _ask(
        f"rule for the mark {rule.mark:#x}",
        lambda: ip.rule(
            command,
            family=_FAMILY[rule.family],
            priority=rule.priority,
            fwmark=rule.mark,
            fwmask=rule.mask,
            table=rule.table,
            protocol=PROTOCOL,
        ),
    )


def _local(ip: IPRoute, command: str, local: Local) -> None:
    _ask(
        f"local route of IPv{local.family}",
        lambda: ip.route(
            command,
            family=_FAMILY[local.family],
            dst=_ANY[local.family],
            type="local",
            scope="host",
            table=local.table,
            oif=ip.link_lookup(ifname="lo")[0],
            proto=PROTOCOL,
        ),
    )


def _quick(ip: IPRoute, command: str, quick: Quick) -> None:
    family = _FAMILY[quick.address.version]
    dst = str(ip_network(quick.address))
    main = _main(rtnetlink.routes())
    ours = [each for each in main if each.protocol == PROTOCOL and _is_to(each, quick.address)]
    if command == "del":
        if ours:
            _ask(
                f"quick route to {dst}",
                lambda: ip.route("del", dst=dst, family=family, proto=PROTOCOL, scope=_ANY_SCOPE),
            )
        return
    way = _without_ours(quick.address, main)
    if way is None:
        raise EngineError(f"this node has no route to {quick.address}; the next pass looks again")
    interface, gateway = way
    words = {"gateway": str(gateway)} if gateway else ({"scope": "link"} if family == socket.AF_INET else {})
    _ask(
        f"quick route to {dst}",
        lambda: ip.route(
            "replace", dst=dst, family=family, oif=interface, proto=PROTOCOL, metrics={"quickack": 1}, **words
        ),
    )


_DO: dict[type, Callable[[IPRoute, str, Any], None]] = {Rule: _rule, Local: _local, Quick: _quick}


def _ask(what: str, work: Callable[[], object]) -> None:
    """What is already so is fine."""
    try:
        work()
    except NetlinkError as error:
        if error.code not in (errno.EEXIST, errno.ENOENT, errno.ESRCH):
            raise EngineError(f"the kernel refused the {what}: {error}") from error


def _without_ours(address: Address, main: list[Route]) -> Way | None:
    """The way that packets take without our route: the longest prefix, then the smallest metric."""
    held = [
        each
        for each in main
        if each.protocol != PROTOCOL
        and each.kind == _UNICAST
        and each.interface is not None
        and address in each.destination
    ]
    best = min(held, key=lambda each: (-each.destination.prefixlen, each.metric), default=None)
    return None if best is None else _way(best)


def _way(route: Route) -> Way:
    return route.interface, route.gateway


def _is_to(route: Route, address: Address) -> bool:
    return route.destination == ip_network(address)


def _attr(message: _Message, name: str) -> Any:  # noqa: ANN401
    return message.get_attr(name)
