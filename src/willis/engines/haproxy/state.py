"""The state of servers in HAProxy: as artefacts, as the state file, and as the worker reports it.

A verdict, a drain or a weight lives only here, never in the configuration's text, so
none of them ever reloads anything. That is sound across reloads and restarts because
every worker we start first reads a state file that we have just written, and is then
read back and corrected (``driver``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from willis.engines.haproxy.write import name as service_name
from willis.engines.haproxy.write import number, server_name

FALLBACK = "fallback:"
"""Begins the name of a fallback server; no host's name can hold a colon."""


class Mode(StrEnum):
    """HAProxy's administrative state of a server, by its own word."""

    READY = "ready"
    DRAIN = "drain"
    MAINT = "maint"


@dataclass(frozen=True, slots=True)
class ServerState:
    """What one server may carry. Every pair of ``mode`` and ``up`` says one thing:

    ready, up: new connections. ready, down: dead; what it had is ended, so that clients try again.
    drain, up: only browsers that hold its cookie. drain, down: running connections finish.
    maint (down): halted, its connections are cut.
    """

    weight: int
    """0 to 256, HAProxy's own range."""
    mode: Mode
    up: bool
    port: int
    """The configured port, 0 for the one that the client used; the state file must repeat it."""
    tls: bool = False
    """Whether the server is spoken to over TLS; a state file that says no turns the word ``ssl`` off."""


class StateError(ValueError):
    """The worker's report cannot be read."""


def key(service: str, server: str) -> str:
    """The artefact's key."""
    return f"server/{service}/{server}"


def parts(artefact: str) -> tuple[str, str]:
    """(service, server) of a key."""
    _, service, server = artefact.split("/")
    return service, server


_HEAD = (
    "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state "
    "srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl "
    "srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n"
)
_FLAGS = {Mode.READY: 0x00, Mode.MAINT: 0x01, Mode.DRAIN: 0x08}
_MAINT = 0x01 | 0x02 | 0x04 | 0x20 | 0x40
_DRAIN = 0x08 | 0x10
"""SRV_ADMF_* of HAProxy's include/haproxy/server-t.h."""


def state_file(states: Mapping[str, ServerState]) -> str:
    """What ``server-state-file`` should hold (management guide, "show servers state").

    The configured weight is always 1, HAProxy's default: a runtime weight is dropped
    where it differs from the configuration's.
    """
    lines = []
    for artefact, state in sorted(states.items()):
        service, server = parts(artefact)
        lines.append(
            f"0 {service_name(service).text} 0 {server_name(server).text} - {2 if state.up else 0} "
            f"{_FLAGS[state.mode]} {number(state.weight, 0, 256).text} 1 0 1 0 4 0 0 0 0 - "
            f"{number(state.port, 0, 65_535).text} - {int(state.tls)} 0 - - 0\n"
        )
    return _HEAD + "".join(lines)


def parse(report: str) -> dict[str, ServerState]:
    """The answer to ``show servers state``. Raises StateError."""
    lines = report.splitlines()
    if not lines or lines[0].strip() != "1":
        raise StateError(f"'show servers state' answered {report[:80]!r} instead of format version 1")
    return dict(_parsed(line) for line in lines[1:] if line.strip() and not line.startswith("#"))


def _parsed(line: str) -> tuple[str, ServerState]:
    fields = line.split()
    try:
        flags = int(fields[6])
        mode = Mode.MAINT if flags & _MAINT else Mode.DRAIN if flags & _DRAIN else Mode.READY
        up = fields[5] != "0" and mode is not Mode.MAINT
        return key(fields[1], fields[3]), ServerState(
            int(fields[7]), mode, up, int(fields[18]), fields[20] == "1"
        )
    except (IndexError, ValueError) as error:
        raise StateError(f"'show servers state' has a line that cannot be read: {line!r}") from error


def commands(artefact: str, state: ServerState) -> Iterator[str]:
    """The runtime commands that bring a server into ``state``, whatever it was before.

    Leaving maintenance raises a server that has no check of HAProxy's own, so a server
    that shall be down passes through drain, where it takes nothing new.
    """
    service, server = parts(artefact)
    who = f"{service_name(service).text}/{server_name(server).text}"
    yield f"set server {who} weight {number(state.weight, 0, 256).text}"
    if state.mode is Mode.MAINT:
        yield f"set server {who} state maint"
    elif state.up:
        yield f"set server {who} health up"
        yield f"set server {who} state {state.mode}"
        yield f"set server {who} health up"
    else:
        yield f"set server {who} health down"
        yield f"set server {who} state drain"
        yield f"set server {who} health down"
        yield f"set server {who} state {state.mode}"
