"""Holds kernel settings below /proc/sys/net, in the network namespace of the calling thread.

Before the first change of a setting its value is remembered, and the values that the
kernel changes with it; when no service needs it any more they are put back.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from pyroute2 import IPRoute

from willis.engines.kernel.compile import FORWARD4, FORWARD6, allowed, compile_settings
from willis.engines.kernel.ledger import Former, Ledger
from willis.engines.port import EngineError, Traffic
from willis.model.config import Config
from willis.model.status import Status
from willis.plan.diff import Artefacts, Change

_ROOT = Path("/proc/sys")
_SWAPPED = str.maketrans("./", "/.")
_FROM_ROUTER = 9
"""RTPROT_RA: a route that came by a router's advertisement."""
_ACCEPT_ALWAYS = "2"


class KernelEngine:
    """The settings that NAT and SNAT need."""

    name = "kernel"

    def __init__(self, state_dir: Path) -> None:
        self._ledger = Ledger(state_dir / "kernel.json")

    def compile(self, config: Config, status: Status) -> Artefacts:
        return compile_settings(config, status)

    def observe(self) -> Artefacts:
        """The settings that Willis has taken on, with the values that they have now."""
        return {f"sysctl/{name}": _read(name) for name in self._ledger.read() if _path(name).exists()}

    def check(self, want: Artefacts) -> None:
        """Refuse what this kernel has not, and what would cost the node its own way out."""
        for key in want:
            name = _name(key)
            if not _path(name).exists():
                raise EngineError(
                    f"this kernel has no setting {name}, which NAT and SNAT need; "
                    f"does the interface exist, and is this family of addresses switched on?"
                )
        if f"sysctl/{FORWARD6}" in want and _read(FORWARD6) == "0":
            for interface in _advertised():
                raise EngineError(
                    f"NAT and SNAT over IPv6 make this node a router, and a router takes no advice from "
                    f"others: it would lose its default route by {interface}. Write the route down, or set "
                    f"net.ipv6.conf.{interface.replace('.', '/')}.accept_ra=2"
                )

    def apply(self, changes: Sequence[Change]) -> None:
        """Remember first, then write; put back first, then forget. A kill between them heals."""
        for change in changes:
            name = _name(change.key)
            former = self._ledger.read()
            if isinstance(change.want, str):
                if name not in former:
                    others = {other: _read(other) for other in _others(name)}
                    self._ledger.write({**former, name: Former(_read(name), others)})
                _write(name, change.want)
            elif name in former:
                _put_back(name, former.pop(name))
                self._ledger.write(former)

    def traffic(self) -> dict[tuple[str, str], Traffic]:
        return {}

    def refresh(self) -> None:
        """Nothing ages here."""

    def alarms(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        """The kernel keeps the settings."""


def _put_back(name: str, former: Former) -> None:
    """The setting first, since it changes the others."""
    if _path(name).exists():
        _write(name, former.value)
    for other, value in former.others.items():
        if _path(other).exists() and _read(other) != value:
            _write(other, value)


def _others(name: str) -> Iterator[str]:
    """What the kernel changes together with ``name`` (inet_forward_change, addrconf_forward_change)."""
    if name == FORWARD4:
        yield "net.ipv4.conf.all.accept_redirects"
    if name in (FORWARD4, FORWARD6):
        family = name.split(".")[1]
        for directory in sorted((_ROOT / "net" / family / "conf").iterdir()):
            if directory.name != "all":
                yield f"net.{family}.conf.{directory.name.replace('.', '/')}.forwarding"


def _advertised() -> Iterator[str]:
    """Interfaces with an IPv6 default route that forwarding would remove."""
    with IPRoute() as route:
        routes = route.get_default_routes(family=socket.AF_INET6)
        learnt = {each.get_attr("RTA_OIF") for each in routes if each["proto"] == _FROM_ROUTER}
    for index in learnt:
        name = socket.if_indextoname(index)
        if _read(f"net.ipv6.conf.{name.replace('.', '/')}.accept_ra") != _ACCEPT_ALWAYS:
            yield name


def _name(key: str) -> str:
    return key.partition("/")[2]


def _path(name: str) -> Path:
    return _ROOT / name.translate(_SWAPPED)


def _read(name: str) -> str:
    try:
        return _path(name).read_text().strip()
    except OSError as error:
        raise EngineError(f"kernel setting {name} cannot be read: {error.strerror}") from error


def _write(name: str, value: str) -> None:
    if not allowed(name, value):
        raise EngineError(f"{name}={value} is no kernel setting that Willis may write; it was left alone")
    try:
        _path(name).write_text(f"{value}\n")
    except OSError as error:
        raise EngineError(
            f"kernel setting {name} cannot be set to {value}: {error.strerror}; run Willis as root or with "
            f"CAP_NET_ADMIN, where /proc/sys is writable"
        ) from error
