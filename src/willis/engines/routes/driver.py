"""Holds rules and routes through rtnetlink, in the network namespace of the calling thread.

Ours carry the protocol number ``PROTOCOL``, so a restarted daemon knows them again and the
administrator's own are never touched.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Hashable, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from willis.engines.port import EngineError, Traffic
from willis.engines.routes import marking
from willis.engines.routes.compile import Local, Marking, Quick, Rule, compile_routes
from willis.model.config import Config
from willis.model.service import Address
from willis.model.status import Status
from willis.plan.diff import Artefacts, Change

PROTOCOL = 0x77
_MAIN = 254
_ANY_SCOPE = 255
"""RT_SCOPE_NOWHERE: a deletion that asks for no certain scope."""
_LOCAL = 2
"""RTN_LOCAL."""
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_ANY = {4: "0.0.0.0/0", 6: "::/0"}

_Message = Any  # pyroute2 has no types
Way = tuple[int, str | None]
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
        with IPRoute() as ip:
            routes = [each for family in _FAMILY.values() for each in ip.get_routes(family=family)]
            for family in _FAMILY:
                found |= _rules(ip, family) | _locals(routes, family)
        table = marking.read()
        if table is not None:
            found["marking/proxy"] = table
        return found | self._quick([each for each in routes if _attr(each, "RTA_TABLE") == _MAIN])

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

    def _quick(self, main: list[_Message]) -> dict[str, Quick]:
        found, alarms = {}, []
        for each in main:
            if each["proto"] == PROTOCOL and each["dst_len"] == _bits(each):
                address = ip_address(_attr(each, "RTA_DST"))
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


def _locals(routes: list[_Message], family: int) -> dict[str, Hashable]:
    return {
        f"local/{family}": Local(family, _attr(each, "RTA_TABLE"))
        for each in routes
        if each["family"] == _FAMILY[family]
        and each["proto"] == PROTOCOL
        and each["type"] == _LOCAL
        and each["dst_len"] == 0
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
    main = [e for e in ip.get_routes(family=family, table=_MAIN) if _attr(e, "RTA_TABLE") == _MAIN]
    ours = [e for e in main if e["proto"] == PROTOCOL and _is_to(e, quick.address)]
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
    words = {"gateway": gateway} if gateway else ({"scope": "link"} if family == socket.AF_INET else {})
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


def _without_ours(address: Address, main: list[_Message]) -> Way | None:
    """The way that packets take without our route: the longest prefix, then the smallest metric."""
    held = [
        each
        for each in main
        if each["proto"] != PROTOCOL
        and each["type"] == 1
        and _attr(each, "RTA_OIF")
        and _holds(each, address)
    ]
    best = min(held, key=lambda e: (-e["dst_len"], _attr(e, "RTA_PRIORITY") or 0), default=None)
    return None if best is None else _way(best)


def _way(message: _Message) -> Way:
    return int(_attr(message, "RTA_OIF")), _attr(message, "RTA_GATEWAY")


def _holds(message: _Message, address: Address) -> bool:
    if message["family"] != _FAMILY[address.version]:
        return False
    destination = _attr(message, "RTA_DST")
    return destination is None or address in ip_network(f"{destination}/{message['dst_len']}", strict=False)


def _is_to(message: _Message, address: Address) -> bool:
    return message["dst_len"] == address.max_prefixlen and _holds(message, address)


def _bits(message: _Message) -> int:
    return 32 if message["family"] == socket.AF_INET else 128


def _attr(message: _Message, name: str) -> Any:  # noqa: ANN401
    return message.get_attr(name)
