"""HL7 over MLLP: connections to a server that is to be left end between two messages. Pure.

Senders keep one connection for weeks, so a drain that waits for its end never ends, and
one that cuts doubles the message that waits for its ACK. ``lua/hl7.lua`` follows messages
and ACKs, and lets no further message begin towards a server that is in the map of those
to leave; the engine then ends the connections that wait for no ACK.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from willis.engines.haproxy import maps, write
from willis.engines.haproxy.files import HaproxyFiles
from willis.engines.haproxy.idioms import Idiom
from willis.engines.haproxy.state import FALLBACK
from willis.engines.haproxy.write import Token, Writer
from willis.model.service import Application, Forwarding, VirtualService
from willis.model.status import Admin, Status, Verdict
from willis.plan.members import Member, Standing, members, uses_fallback

LEAVING = "hl7.leaving"
"""The name of the map of servers to leave; no service's map is named so."""
HALF_CLOSED_S = 300
"""Some senders close their half after the message and wait for the ACK."""
_SETTLED_MS = 1_000
"""After an ACK a second one may follow: the enhanced mode's, or one of a server that repeats itself."""
_LAST_MS = 10_000
"""How long a message that is under way may wait for its ACK from a server that is halted or dead."""
_CUT = (Admin.HALT.value, Verdict.DEAD.value)
_STATE = re.compile(r"^(\S+ \S+) (quiet|held|busy|strange) (\d+)$", re.MULTILINE)
_SESSION = re.compile(r"^(0x[0-9a-f]+): .* src=(\S+) fe=(\S+) be=(\S+) srv=(\S+) ", re.MULTILINE)


def is_read(service: VirtualService) -> bool:
    """Whether the proxy follows a service's messages."""
    return service.forwarding is Forwarding.PROXY and service.application is Application.HL7


def head(writer: Writer, services: Iterable[VirtualService], files: HaproxyFiles) -> None:
    """The global section's lines."""
    if any(map(is_read, services)):
        writer.line("lua-load", write.path(files.hl7_lua))


def front(writer: Writer, service: VirtualService, files: HaproxyFiles) -> None:
    """The frontend's lines."""
    if is_read(service):
        writer.line("timeout client-fin", write.seconds(HALF_CLOSED_S))
        writer.idiom(Idiom.HL7)
        writer.line("filter", Token("lua.hl7_blocks"), maps.place(files, LEAVING))


def pool(writer: Writer, service: VirtualService) -> None:
    """The backend's lines."""
    if is_read(service):
        writer.line("timeout server-fin", write.seconds(HALF_CLOSED_S))


def lists(services: Iterable[VirtualService], status: Status) -> Iterator[tuple[str, maps.Lines]]:
    """The map of servers to leave, where HL7 is read."""
    read = [service for service in services if is_read(service)]
    if read:
        yield LEAVING, maps.lines({place: why for s in read for place, why in _leaving(s, status)})


def left(lines: maps.Lines) -> dict[tuple[str, str], str]:
    """Why each (service, server) of the map is to be left."""
    entries = (line.split() for line in lines)
    return {(service, server): why for at, why in entries for service, _, server in [at.partition("/")]}


def corrections(file: str, have: maps.Lines, want: maps.Lines) -> Iterator[str]:
    """The commands that bring an old worker's map to ``want``, entry by entry: none is missing meanwhile."""
    for line in sorted(set(want) - set(have)):
        place = line.split()[0]
        known = any(each.split()[0] == place for each in have)
        yield f"{'set' if known else 'add'} map {file} {line}"
    kept = {line.split()[0] for line in want}
    for place in sorted({line.split()[0] for line in have} - kept):
        yield f"del map {file} {place}"


def to_end(states: str, sessions: str, leave: Mapping[tuple[str, str], str]) -> Iterator[str]:
    """The ids of the connections that may be ended now.

    ``states`` is what ``show hl7`` answered, ``sessions`` what ``show sess`` did after it,
    ``leave`` what the worker's map held before both.
    """
    known: dict[str, list[tuple[str, int]]] = {}
    for client, state, ms in _STATE.findall(states):
        known.setdefault(client, []).append((state, int(ms)))
    for session, client, front_, service, server in _SESSION.findall(sessions):
        # One client's port may lead to two ports of a service: then all that is known of it must agree.
        found = known.get(f"{front_} {client}", [])
        why = leave.get((service, server))
        if found and all(_may_end(state, ms, why) for state, ms in found):
            yield session


def _may_end(state: str, ms: int, why: str | None) -> bool:
    if state == "held" or why is None:
        # One that was held must go even if its server stays after all: nothing wakes it again.
        return state == "held"
    if state == "quiet":
        return ms >= _SETTLED_MS
    return why in _CUT and (state == "strange" or ms >= _LAST_MS)


def _leaving(service: VirtualService, status: Status) -> Iterator[tuple[str, str]]:
    found = members(service, status)
    for member in found:
        why = _why(member)
        if why is not None:
            yield f"{service.name}/{member.server.host}", why
    if service.fallback is not None and not uses_fallback(service, found):
        yield f"{service.name}/{FALLBACK}{service.fallback.host}", "back"


def _why(member: Member) -> str | None:
    """None too where the verdict is not known: then nothing is ended before the first look."""
    if member.admin is not Admin.ONLINE:
        return member.admin.value
    if member.standing is Standing.DOWN:
        return member.health.verdict.value
    return Admin.DRAIN.value if member.away else None
