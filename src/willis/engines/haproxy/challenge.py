"""HTTP-01 (RFC 8555, 8.3) answered by the VIPs themselves. Pure.

The answer is the challenge's own token, a dot and the account's thumbprint. HAProxy can
say that without being told of an order, so nothing reloads when a certificate is renewed.
"""

from __future__ import annotations

from collections.abc import Iterable

from willis.engines.haproxy import write
from willis.engines.haproxy.files import HaproxyFiles
from willis.engines.haproxy.idioms import Idiom
from willis.engines.haproxy.kind import is_http
from willis.engines.haproxy.write import Token, Writer
from willis.model.config import Config
from willis.model.service import Address, Forwarding, Protocol, VirtualService

_PORT = 80
"""Where authorities look, and nowhere else."""


def answer(writer: Writer, files: HaproxyFiles) -> None:
    """The line that answers challenges, for any frontend on port 80 that speaks HTTP in the clear."""
    if files.thumbprint is not None:
        writer.line("http-request return status", *write.challenge(files.thumbprint))


def front(writer: Writer, service: VirtualService, files: HaproxyFiles) -> None:
    """The same in the frontend of a service that is itself plain HTTP on port 80."""
    if is_http(service) and service.tls is None and _PORT in service.ports:
        answer(writer, files)


def vips(config: Config) -> tuple[Address, ...]:
    """The VIPs that need a frontend for challenges alone: TLS with an ordered certificate, port 80 free."""
    if config.acme is None:
        return ()
    ordered = {certificate.name for certificate in config.acme.certificates}
    taken = {vip for service in config.services for vip in _listens(service)}
    needed = {
        service.vip
        for service in config.services
        if service.forwarding is Forwarding.PROXY
        and service.tls is not None
        and ordered.intersection(service.tls.certificates)
    }
    return tuple(sorted(needed - taken, key=lambda vip: (vip.version, int(vip))))


def frontend(writer: Writer, addresses: Iterable[Address], files: HaproxyFiles, transparent: bool) -> None:
    """The frontend for challenges alone."""
    bound = tuple(addresses)
    if files.thumbprint is None or not bound:
        return
    writer.section("frontend", write.name("willis.acme"), write.keywords("from willis-http-front"))
    far: tuple[Token, ...] = (write.keywords("transparent"),) if transparent else ()
    for vip in bound:
        writer.line("bind", write.endpoint(vip, _PORT), *far)
    answer(writer, files)
    writer.idiom(Idiom.NOTHING_ELSE)


def _listens(service: VirtualService) -> tuple[Address, ...]:
    taken = service.protocol is Protocol.TCP and _PORT in (*service.ports, *service.http.https_from)
    return (service.vip,) if taken else ()
