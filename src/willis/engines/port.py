"""What every engine offers. The loop knows engines only by this port."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Protocol, runtime_checkable

from willis.model.access import Access
from willis.model.config import Config
from willis.model.refusal import Refusal
from willis.model.service import Address
from willis.model.status import Status
from willis.plan.diff import Artefacts, Change


class EngineError(Exception):
    """An engine refused or failed. The text says what, why and what to do; the last good state stands."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Counters of one real server in one service since they began."""

    active: int = 0
    """Connections open now."""
    total: int = 0
    """Connections ever."""
    bytes_in: int = 0
    """Bytes from clients."""
    bytes_out: int | None = None
    """Bytes to clients; None where the replies do not pass the node (DR)."""

    def __add__(self, other: Traffic) -> Traffic:
        """Both counts: of two places, or of two engines that each see a part (requests and replies)."""
        outs = [each.bytes_out for each in (self, other) if each.bytes_out is not None]
        return Traffic(
            self.active + other.active,
            self.total + other.total,
            self.bytes_in + other.bytes_in,
            sum(outs) if outs else None,
        )


@dataclass(frozen=True, slots=True)
class Client:
    """A client, or a network of them, that persistence ties to a real server."""

    network: IPv4Network | IPv6Network
    host: str
    seconds_left: float
    """Until the tie ends, if the client stays silent."""


@runtime_checkable
class Ties(Protocol):
    """What an engine offers besides if it ties clients to servers by their addresses."""

    def clients(self, service: str) -> list[Client]:
        """The ties of one service that hold now; none for a service that it does not carry."""
        ...

    def forget(self, service: str, client: Address | None = None) -> int:
        """End the tie of one client, or of all; connections stay. Returns how many ended."""
        ...


@runtime_checkable
class Ages(Protocol):
    """What an engine offers besides if it knows how long connections have lasted."""

    def longest(self) -> dict[tuple[str, str], float]:
        """Seconds that the oldest connection open now has lasted, by (service, host). Raises EngineError.

        It looks at every connection: not to be asked in each pass.
        """
        ...


@runtime_checkable
class Refusals(Protocol):
    """What an engine offers besides if it reads what real servers answer."""

    def refusals(self) -> dict[tuple[str, str], tuple[Refusal, ...]]:
        """What servers refused for want of resources, by (service, host). Raises EngineError."""
        ...


@runtime_checkable
class Logs(Protocol):
    """What an engine offers besides if it writes an access log."""

    def serving(self) -> int | None:
        """The process that takes new connections now; None: none does. Raises EngineError."""
        ...

    def stream(self, *, fresh: bool) -> socket.socket:
        """A connection from which the lines of that process come, for as long as it lives.

        Its first line is ``Pid: N``. Unless ``fresh``, the lines that it still has come first.
        Raises EngineError.
        """
        ...

    def read(self, line: bytes) -> Access | None:
        """What a line says; None if it is no access."""
        ...


@runtime_checkable
class Stapling(Protocol):
    """What an engine offers besides if it serves certificates."""

    def staple(self, certificate: Path, der: bytes) -> None:
        """Send this OCSP response along with the certificate from now on. Raises EngineError."""
        ...


class Engine(Protocol):
    """Compile, observe, check, apply: the same verbs for every data plane.

    The data plane outlives the object: making one starts or adopts it, ``close``
    only lets go of it.
    """

    @property
    def name(self) -> str:
        """A short id such as ``ebpf``; it prefixes nothing and never changes."""
        ...

    def compile(self, config: Config, status: Status) -> Artefacts:
        """What the engine should hold. Pure."""
        ...

    def observe(self) -> Artefacts:
        """What the engine holds now, read from the engine itself."""
        ...

    def check(self, want: Artefacts) -> None:
        """Ask the real binary whether it would take ``want``; changes nothing. Raises EngineError."""
        ...

    def apply(self, changes: Sequence[Change]) -> None:
        """Make the changes, in a safe order, whole or not at all. Raises EngineError."""
        ...

    def traffic(self) -> dict[tuple[str, str], Traffic]:
        """Counters by (service, host)."""
        ...

    def alarms(self) -> tuple[str, ...]:
        """What somebody should know before it becomes a fault, in sentences."""
        ...

    def refresh(self) -> None:
        """Once a second: renew what ages inside the engine (neighbours, idle flows). Raises EngineError."""
        ...

    def close(self) -> None:
        """Let go; traffic goes on."""
        ...
