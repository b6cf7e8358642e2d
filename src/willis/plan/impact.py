"""What a change does to live sessions, service by service, before it is made.

Sessions outlive nearly every change: layer 4 remembers the server of each flow, also of one
that leaves, and the former process of a reloaded proxy finishes what it has. Only what is named
in ``_cuts`` ends them. ``tests/lab/test_impact.py`` holds all of it against real connections.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum

from willis.model.config import Config
from willis.model.service import TRANSLATED, Address, Forwarding, Protocol, RealServer, VirtualService
from willis.plan.members import target

Live = Mapping[tuple[str, str], int]
"""Connections open now by (service, host)."""


class Effect(StrEnum):
    """``none``; ``new-sessions``: only connections made later notice; ``drops``: live ones are cut."""

    NONE = "none"
    NEW_SESSIONS = "new-sessions"
    DROPS = "drops"


@dataclass(frozen=True, slots=True)
class Impact:
    """What becomes of the sessions of one service."""

    service: str
    effect: Effect
    sessions: int
    """Open now, at servers that left its pool too."""
    why: str
    """What changes, in words; empty without effect."""

    @property
    def drops(self) -> int:
        """How many of them are cut: all or none."""
        return self.sessions if self.effect is Effect.DROPS else 0


def impact(old: Config, new: Config, live: Live) -> tuple[Impact, ...]:
    """The effect on every service of ``old`` or ``new``, in the order of their names."""
    before, after = ({s.name: s for s in config.services} for config in (old, new))
    open_now: dict[str, dict[str, int]] = {}
    for (service, host), count in live.items():
        open_now.setdefault(service, {})[host] = count
    grounds = _Ground.of(old), _Ground.of(new)
    return tuple(
        _impact(name, before.get(name), after.get(name), grounds, open_now.get(name, {}))
        for name in sorted(before.keys() | after.keys())
    )


@dataclass(frozen=True, slots=True)
class _Ground:
    """What live sessions stand on besides their own service."""

    config: Config
    interfaces: frozenset[str]
    vips: Mapping[Address, str]
    """Those that Willis holds, and on which interface."""
    forwards: bool
    """Whether layer 4 forwards anything at all; else its program is taken off the interfaces."""
    translated: frozenset[int]
    """The families of addresses in which a service is translated; else the kernel forwards no more."""
    transparent: frozenset[int]
    """The families in which answers to clients' addresses are led back to the proxy."""
    entrances: Mapping[tuple[Address, int], VirtualService]
    """Where layer 4 takes connections over TCP."""

    @classmethod
    def of(cls, config: Config) -> _Ground:
        forwarded = [s for s in config.services if s.forwarding.layer == 4]
        held = ((s.vip, config.interface_to(s.vip)) for s in config.services)
        proxied = (s for s in config.services if s.forwarding is Forwarding.PROXY)
        return cls(
            config,
            frozenset(interface.name for interface in config.interfaces),
            {vip: interface.name for vip, interface in held if interface is not None},
            bool(forwarded),
            frozenset(s.vip.version for s in forwarded if s.forwarding in TRANSLATED),
            frozenset(s.vip.version for s in proxied if s.transparent),
            {(s.vip, port): s for s in forwarded if s.protocol is Protocol.TCP for port in s.ports},
        )


_Grounds = tuple[_Ground, _Ground]


def _impact(
    name: str,
    old: VirtualService | None,
    new: VirtualService | None,
    grounds: _Grounds,
    open_now: Mapping[str, int],
) -> Impact:
    sessions = sum(open_now.values())
    if old is None:
        return Impact(name, Effect.NEW_SESSIONS, sessions, "it is new")
    cuts = [*_cuts(old, grounds), *_cuts_of_datagrams(old, new)]
    removed = ["it is removed"] if new is None else []
    if cuts:
        return Impact(name, Effect.DROPS, sessions, "; ".join([*removed, *cuts]))
    if old == new:
        return Impact(name, Effect.NONE, sessions, "")
    noticed = [*removed, "what it has goes on"] if new is None else [*_noticed(old, new, open_now)]
    return Impact(name, Effect.NEW_SESSIONS, sessions, "; ".join(noticed))


def _cuts(service: VirtualService, grounds: _Grounds) -> Iterator[str]:
    """All that ends its live sessions: at once; at layer 4 without the VIP, once neighbours look for it."""
    before, after = grounds
    held = before.vips.get(service.vip)
    if held is not None and after.vips.get(service.vip) != held:
        yield f"{service.vip} leaves {held}"
    if service.forwarding is Forwarding.PROXY:
        yield from _cuts_of_proxy(service, grounds)
        return
    if not after.forwards:
        yield "no service of layer 4 is left"
    elif service.forwarding in TRANSLATED and service.vip.version not in after.translated:
        yield f"no service of nat or snat is left in IPv{service.vip.version}"
    for interface in sorted(before.interfaces - after.interfaces):
        yield f"{interface} leaves the document"


def _cuts_of_proxy(service: VirtualService, grounds: _Grounds) -> Iterator[str]:
    before, after = grounds
    if service.transparent and service.vip.version not in after.transparent:
        yield f"no transparent service is left in IPv{service.vip.version}"
    for port in service.ports:
        entrance = after.entrances.get((service.vip, port))
        # Where addresses are translated already, the kernel knows these connections as the node's own.
        if entrance is not None and not (entrance.forwarding in TRANSLATED and before.translated):
            yield f"port {port} passes to layer 4"


def _cuts_of_datagrams(old: VirtualService, new: VirtualService | None) -> Iterator[str]:
    if new is not None and new.one_packet and not old.one_packet:
        yield "each datagram is scheduled by itself"


_WORDS = {
    "vip": "VIP",
    "ports": "ports",
    "forwarding": "forwarding",
    "protocol": "protocol",
    "application": "application",
    "scheduler": "scheduler",
    "persistence": "persistence",
    "fallback": "fallback server",
    "floor": "floor",
    "slow_start_s": "slow start",
    "watermarks": "watermarks",
    "feedback": "feedback",
    "source": "source address",
    "one_packet": "one-packet scheduling",
    "timeouts": "time-outs (of running sessions too)",
    "waits": "time-outs",
    "limits": "limits",
    "tls": "TLS",
    "server_tls": "TLS to servers",
    "proxy_protocol": "PROXY protocol to servers",
    "behind_proxies": "PROXY protocol of clients",
    "transparent": "transparent source",
    "quick_acknowledge": "quick acknowledgement",
    "http": "HTTP",
    "dicom": "DICOM",
}
"""Fields of a service but ``name``, ``check`` and ``pool``, in the words of the manual."""


def _noticed(old: VirtualService, new: VirtualService, open_now: Mapping[str, int]) -> Iterator[str]:
    """What connections made later notice."""
    changed = [f.name for f in fields(VirtualService) if getattr(old, f.name) != getattr(new, f.name)]
    words = [_WORDS[name] for name in changed if name in _WORDS]
    if old.check != new.check:
        words.append("check")
    if words:
        yield f"{', '.join(words)} change{'s' if len(words) == 1 else ''}"
    if old.pool != new.pool:
        yield from _pool(old, new, open_now)
    asked = {server.host: target(old, server) for server in old.pool}
    if any(asked.get(server.host, found) != found for server in new.pool if (found := target(new, server))):
        yield "servers are looked at anew: new sessions wait for that, and who proves dead loses what it has"


def _pool(old: VirtualService, new: VirtualService, open_now: Mapping[str, int]) -> Iterator[str]:
    before, after = ({server.host: server for server in each.pool} for each in (old, new))
    for host in [*before, *(host for host in after if host not in before)]:
        was, shall = before.get(host), after.get(host)
        if was != shall:
            yield f"{host} {_server(was, shall)}{_finishing(was, shall, open_now.get(host, 0))}"
    if before == after:
        yield "the order of its servers changes"


def _server(was: RealServer | None, shall: RealServer | None) -> str:
    if was is None:
        return "joins"
    if shall is None:
        return "leaves"
    if _place(was) != _place(shall):
        return "moves"
    return f"weighs {shall.weight}" if was.weight != shall.weight else "has other needs"


def _finishing(was: RealServer | None, shall: RealServer | None, count: int) -> str:
    if was is None or not count or (shall is not None and _place(was) == _place(shall)):
        return ""
    return f" and finishes its {count} session{'s' if count != 1 else ''}"


def _place(server: RealServer) -> tuple[Address, int | None]:
    return server.address, server.port
