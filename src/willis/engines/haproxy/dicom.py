"""DICOM: AE titles decide who may call, where an association goes and how many there are. Pure.

The first PDU of a client is an A-ASSOCIATE-RQ (PS3.8, 9.3.2): type 01, the called AE title
at byte 10, the calling one at byte 26, its items from byte 74. Until these bytes are here no
server hears of the client. Rejections and what HAProxy has no words for are in
``lua/dicom.lua``. Titles are looked up in maps, so that lists change without a reload.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from willis.engines.haproxy import maps, write
from willis.engines.haproxy.files import HaproxyFiles
from willis.engines.haproxy.idioms import Idiom
from willis.engines.haproxy.state import FALLBACK
from willis.engines.haproxy.write import Token, Writer
from willis.model.refusal import ASSOCIATION, Refusal
from willis.model.service import Forwarding, VirtualService

_MOST = 1_000_000
_LONGEST_S = 30 * 86_400
_TITLES = "titles"


def is_read(service: VirtualService) -> bool:
    """Whether the proxy looks into the associations of a service."""
    return service.forwarding is Forwarding.PROXY and service.application.is_dicom


def head(writer: Writer, services: Iterable[VirtualService], files: HaproxyFiles) -> None:
    """The global section's lines."""
    if any(map(is_read, services)):
        writer.line("lua-load", write.path(files.dicom_lua))


def front(writer: Writer, service: VirtualService, files: HaproxyFiles) -> None:
    """The frontend's lines."""
    if not is_read(service):
        return
    wanted = service.dicom
    writer.line("tcp-request inspect-delay", write.seconds(_patience_s(service)))
    writer.idiom(Idiom.DICOM_TITLES)
    if wanted.rename is not None:
        writer.line("tcp-request content", write.renamed(wanted.rename))
    if wanted.validate:
        writer.idiom(Idiom.DICOM_FIRST_BYTES)
    for which, titles in (("called", wanted.called), ("calling", wanted.calling)):
        if titles:
            known = _map(files, service, which)
            writer.line("tcp-request content use-service", write.rejected(which, known))
    if wanted.certificates:
        writer.line("tcp-request content", write.bound(_map(files, service, "certificates")))
        writer.idiom(Idiom.DICOM_BOUND)
    _busy(writer, service, files)
    if wanted.per_calling is not None:
        _queue(writer, service, wanted.per_calling)
    writer.idiom(Idiom.DICOM_ACCEPT)
    if wanted.validate or wanted.called or wanted.calling or wanted.certificates:
        # Without this, half a head and patience would pass all lists.
        writer.idiom(Idiom.DICOM_NOTHING_ELSE)
    if wanted.rename is not None:
        writer.line("filter", Token("lua.dicom_rename"))
    writer.line("filter", Token("lua.dicom_statuses"))
    if wanted.routes:
        writer.line("use_backend", *write.routed(_map(files, service, "routes")))


def _patience_s(service: VirtualService) -> int:
    """How long rules may take, whatever they wait for: the head, and then a place."""
    waits = service.waits
    waiting = 0 if service.dicom.per_calling is None else waits.queue_s
    return min(waits.request_s + waiting, _LONGEST_S)


def tables(writer: Writer, service: VirtualService) -> None:
    """The backend that only counts associations by their calling AE title."""
    if is_read(service) and service.ports and service.dicom.per_calling is not None:
        writer.section("backend", write.aside(_TITLES, service.name), write.keywords("from willis-tcp"))
        writer.idiom(Idiom.DICOM_COUNT)


def lists(service: VirtualService) -> Iterator[tuple[str, maps.Lines]]:
    """(name, lines) of each map of the service."""
    if not is_read(service) or not service.ports:
        return
    wanted = service.dicom
    for kind, titles in (("called", wanted.called), ("calling", wanted.calling)):
        if titles:
            yield f"{service.name}.{kind}", maps.lines(dict.fromkeys(titles, "1"))
    if wanted.routes:
        routes = {title: route.service for route in wanted.routes for title in route.called}
        yield f"{service.name}.routes", maps.lines(routes)
    if wanted.certificates:
        bound = {each.calling: each.name for each in wanted.certificates}
        yield f"{service.name}.certificates", maps.lines(bound)


_REFUSED = re.compile(r"^(\S+) (\S+) ([0-9A-F]{4}) ([0-9A-F]{4}) (\d+) (\d+)$", re.MULTILINE)
_REQUESTS = {
    "0000": ASSOCIATION,
    "8001": "C-STORE",
    "8010": "C-GET",
    "8020": "C-FIND",
    "8021": "C-MOVE",
    "8120": "N-SET",
    "8130": "N-ACTION",
    "8140": "N-CREATE",
}
"""By the command field of the answer (PS3.7, E.1)."""
_REJECTED = {"0301": "temporary congestion", "0302": "local limit exceeded"}
"""By source and reason (PS3.8, 9.3.4)."""


def refused(reports: Iterable[str]) -> dict[tuple[str, str], tuple[Refusal, ...]]:
    """What ``show dimse`` answered in every worker, by (service, host). Fallback servers are not judged."""
    sums: dict[tuple[str, str], dict[tuple[str, str], Refusal]] = {}
    for report in reports:
        for service, server, command, status, count, ago in _REFUSED.findall(report):
            if server.startswith(FALLBACK):
                continue
            request = _REQUESTS.get(command, "request")
            answer = f"{status} (out of resources)" if command != "0000" else _REJECTED.get(status, "for now")
            known = sums.setdefault((service, server), {})
            so_far = known.get((request, answer), Refusal(request, answer, 0, float(ago)))
            known[request, answer] = Refusal(
                request, answer, so_far.count + int(count), min(so_far.ago_s, float(ago))
            )
    return {place: tuple(sorted(found.values())) for place, found in sums.items()}


def _busy(writer: Writer, service: VirtualService, files: HaproxyFiles) -> None:
    """Who cannot be served now is told so in order, and may come again (PS3.8, 9.3.4: transient)."""
    routes = _map(files, service, "routes") if service.dicom.routes else None
    for name in sorted({route.service for route in service.dicom.routes}):
        _reject_if(writer, write.nobody(name, routes, name))
    _reject_if(writer, write.nobody(service.name, routes, None))


def _reject_if(writer: Writer, nobody: Token) -> None:
    """Asked twice: HAProxy counts a pool's servers anew at each change of one, and says none meanwhile."""
    writer.line("tcp-request content", Token("lua.dicom_again"), nobody)
    writer.line("tcp-request content use-service", Token("lua.dicom_busy"), nobody)


def _queue(writer: Writer, service: VirtualService, most: int) -> None:
    table = write.aside(_TITLES, service.name)
    wait = write.number(service.waits.queue_s, 1, 30 * 86_400)
    writer.line(
        "tcp-request content", Token("lua.dicom_wait"), table, write.number(most, 1, _MOST), wait, write.HEAD
    )
    writer.idiom(Idiom.DICOM_WAITED)
    writer.line("tcp-request content track-sc1", write.CALLING, write.keywords("table"), table, write.HEAD)


def _map(files: HaproxyFiles, service: VirtualService, kind: str) -> Token:
    return maps.place(files, f"{service.name}.{kind}")
