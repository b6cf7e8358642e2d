"""From Config and Status to what HAProxy should hold: one text, and a state for every server.

The text changes only with the document; see ``state`` for what changes without it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from willis.engines.haproxy import (
    challenge,
    dicom,
    hl7,
    http,
    limits,
    log,
    maps,
    persist,
    proxied,
    tls,
    write,
)
from willis.engines.haproxy.files import HaproxyFiles
from willis.engines.haproxy.idioms import Idiom
from willis.engines.haproxy.kind import is_http
from willis.engines.haproxy.state import FALLBACK, Mode, ServerState, key
from willis.engines.haproxy.write import Writer
from willis.model.config import Config
from willis.model.service import Forwarding, Protocol, RealServer, Scheduler, VirtualService
from willis.model.status import Admin, Status, Verdict
from willis.plan.diff import Artefacts
from willis.plan.members import Member, Standing, members
from willis.plan.remembered import remembered

__all__ = ["CONFIG", "HaproxyFiles", "compile_l7", "left_out"]

CONFIG = "file/haproxy.cfg"

_SPARE_FILES = 300
"""Descriptors for listeners, sockets, logs and threads."""
_MOST_CONNECTIONS = 20_000
"""Enough for any hospital; more would only cost memory."""


@remembered
def compile_l7(
    config: Config,
    status: Status,
    *,
    files: HaproxyFiles,
    layer4: bool = False,
    transparent: bool = True,
) -> Artefacts:
    """The configuration under ``CONFIG`` and a ServerState for each server; nothing if none is needed.

    ``layer4``: carry the services of layer 4 too, in TCP mode (the light twin).
    ``transparent``: listen on VIPs that are not on this node (yet).
    """
    services = sorted((s for s in config.services if _carried(s, layer4)), key=lambda s: s.name)
    if not services:
        return {}
    artefacts: dict[str, Hashable] = {}
    writer = Writer()
    _head(writer, files, services, left_out(config) if layer4 else ())
    for service in services:
        _proxy(writer, service, files, transparent)
        artefacts |= _states(service, status)
        artefacts |= {maps.key(name): lines for name, lines in dicom.lists(service)}
        artefacts |= tls.artefacts(service, files)
    artefacts |= {maps.key(name): lines for name, lines in hl7.lists(services, status)}
    challenge.frontend(writer, challenge.vips(config), files, transparent)
    artefacts[CONFIG] = write.stamped(writer.text())
    return artefacts


def left_out(config: Config) -> tuple[str, ...]:
    """The services that HAProxy cannot carry even in the light twin: those over UDP."""
    return tuple(sorted(s.name for s in config.services if s.protocol is Protocol.UDP))


def _carried(service: VirtualService, layer4: bool) -> bool:
    if service.protocol is not Protocol.TCP:
        return False
    return layer4 or service.forwarding is Forwarding.PROXY


def _head(
    writer: Writer, files: HaproxyFiles, services: list[VirtualService], missing: tuple[str, ...]
) -> None:
    listeners = sum(len(s.ports) for s in services)
    connections = min(_MOST_CONNECTIONS, (files.open_files - _SPARE_FILES - listeners) // 2)
    writer.idiom(Idiom.HEAD)
    writer.section("global")
    if files.user is not None:
        _rights(writer, files, files.user, any(service.transparent for service in services))
    writer.line("maxconn", write.number(max(connections, 10), 10, _MOST_CONNECTIONS))
    stats = write.path(files.stats_socket)
    writer.line("stats socket", stats, *_words("mode 600 level admin expose-fd listeners"))
    writer.line("stats timeout", write.seconds(60))
    writer.line("server-state-file", write.path(files.server_state))
    dicom.head(writer, services, files)
    hl7.head(writer, services, files)
    if not files.since_3_0 and any(dicom.is_read(s) or hl7.is_read(s) for s in services):
        writer.idiom(Idiom.ONE_THREAD)
    writer.idiom(Idiom.GLOBAL)
    for name in missing:
        writer.remark("without the udp service", write.name(name))
    writer.section("peers willis")
    writer.line("bind", write.PEERS_SOCKET, *_peers_rights(files.user))
    writer.line("server willis")
    log.head(writer)
    writer.section("defaults willis-http")
    writer.idiom(Idiom.HTTP_DEFAULTS)
    writer.section("defaults willis-http-front from willis-http")
    writer.idiom(Idiom.HTTP_GUARD)
    writer.section("defaults willis-tcp")
    writer.idiom(Idiom.TCP_DEFAULTS)


def _rights(writer: Writer, files: HaproxyFiles, user: str, transparent: bool) -> None:
    """Workers give up root. To speak in a client's name they keep one capability, or stay root where
    HAProxy (before 3.0) knows no other way; the master's bounding set then limits them.
    """
    if not transparent or files.since_3_0:
        writer.line("user", write.user_name(user))
    writer.line("group", write.user_name(user))
    writer.line("chroot", write.path(files.jail))
    if transparent and files.since_3_0:
        writer.line("setcap cap_net_raw")


def _peers_rights(user: str | None) -> tuple[write.Token, ...]:
    """The group too, so that a worker of root and one of the user can hand over to each other."""
    if user is None:
        return _words("mode 600")
    name = write.user_name(user)
    return (*_words("mode 660 user"), name, *_words("group"), name)


def _proxy(writer: Writer, service: VirtualService, files: HaproxyFiles, transparent: bool) -> None:
    """A frontend if the service has ports, and a backend of the same name, where others' rules may lead."""
    name = write.name(service.name)
    web = is_http(service)
    if service.ports:
        front = "from willis-http-front" if web else "from willis-tcp"
        writer.section("frontend", name, write.keywords(front))
        if service.forwarding is not Forwarding.PROXY:
            writer.remark("layer 4 carried by haproxy in the light twin")
        tls.remarks(writer, service, files)
        _binds(writer, service, files, transparent)
        log.front(writer, service)
        _front(writer, service, files)
        writer.line("default_backend", name)
        http.aside(writer, service, files, *(_words("transparent") if transparent else ()))
    writer.section("backend", name, write.keywords("from willis-http" if web else "from willis-tcp"))
    _pool(writer, service, files)
    persist.tables(writer, service)
    dicom.tables(writer, service)
    limits.tables(writer, service)


def _binds(writer: Writer, service: VirtualService, files: HaproxyFiles, transparent: bool) -> None:
    for port in service.ports:
        bind = write.endpoint(service.vip, port)
        far = _words("transparent") if transparent else ()
        writer.line("bind", bind, *far, *proxied.bind(service), *tls.bind(service, files))


def _front(writer: Writer, service: VirtualService, files: HaproxyFiles) -> None:
    """What is done with connections and requests before a server is chosen. The order matters."""
    challenge.front(writer, service, files)
    limits.front(writer, service)
    tls.front(writer, service)
    if is_http(service):
        http.front(writer, service)
    dicom.front(writer, service, files)
    hl7.front(writer, service, files)


def _pool(writer: Writer, service: VirtualService, files: HaproxyFiles) -> None:
    for line in _BALANCE[service.scheduler]:
        writer.line(line)
    limits.pool(writer, service)
    proxied.pool(writer, service)
    if is_http(service):
        http.pool(writer, service)
    hl7.pool(writer, service)
    persist.pool(writer, service)
    for server in service.pool:
        name = write.server_name(server.host)
        endpoint = write.endpoint(server.address, _port(service, server))
        cookie = (*_words("cookie"), name) if persist.keeps_cookie(service) else ()
        writer.line("server", name, endpoint, *cookie, *_server(service, files))
    if service.fallback is not None:
        _fallback(writer, service, service.fallback, files)


def _server(service: VirtualService, files: HaproxyFiles) -> tuple[write.Token, ...]:
    """What every server line of the service says besides its name and address."""
    return (
        *limits.server(service),
        *proxied.server(service),
        *tls.server(service, files),
    )


_BALANCE = {
    Scheduler.WRR: ("balance roundrobin",),
    Scheduler.WLC: ("balance leastconn",),
    Scheduler.SH: ("balance source", "hash-type consistent"),
    Scheduler.MH: ("balance source", "hash-type consistent"),
}


def _fallback(writer: Writer, service: VirtualService, server: RealServer, files: HaproxyFiles) -> None:
    """No cookie and no stick entry: clients leave it as soon as the pool is back."""
    writer.line(
        "server",
        write.server_name(FALLBACK + server.host),
        write.endpoint(server.address, _port(service, server)),
        *_words("backup non-stick"),
        *_server(service, files),
    )


def _states(service: VirtualService, status: Status) -> Iterator[tuple[str, ServerState]]:
    encrypted = service.server_tls is not None
    for member in members(service, status):
        server = member.server
        mode, up = _mode(member, persist.keeps_cookie(service))
        state = ServerState(member.weight, mode, up, _port(service, server) or 0, encrypted)
        yield key(service.name, server.host), state
    if service.fallback is not None:
        port = _port(service, service.fallback) or 0
        yield (
            key(service.name, FALLBACK + service.fallback.host),
            ServerState(1, Mode.READY, True, port, encrypted),
        )


def _mode(member: Member, cookie: bool) -> tuple[Mode, bool]:
    """A draining server keeps the browsers that hold its cookie, but no client by a stick entry:
    an entry would bring *new* connections, which a drain must end. A hung server may still be
    finishing what it has; only of a dead one is everything lost (``driver`` ends it).
    """
    if member.admin is Admin.HALT:
        return Mode.MAINT, False
    if member.takes_new:
        return Mode.READY, True
    if member.standing is Standing.DOWN:
        return Mode.READY if member.health.verdict is Verdict.DEAD else Mode.DRAIN, False
    return Mode.DRAIN, cookie


def _port(service: VirtualService, server: RealServer) -> int | None:
    """None (the client's own) only where it must be: several ports and none given."""
    return server.port or (service.ports[0] if len(service.ports) == 1 else None)


def _words(keywords: str) -> tuple[write.Token, ...]:
    return (write.keywords(keywords),)
