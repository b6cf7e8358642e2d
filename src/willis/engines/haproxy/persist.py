"""Persistence: cookies, stick tables and what stands in where a client has neither. Pure."""

from __future__ import annotations

from willis.engines.haproxy import write
from willis.engines.haproxy.kind import is_http
from willis.engines.haproxy.write import Writer
from willis.model.persistence import CookiePersistence, SourcePersistence
from willis.model.service import VirtualService


def keeps_cookie(service: VirtualService) -> bool:
    """Whether servers are known by a cookie of the proxy's."""
    return is_http(service) and isinstance(service.persistence, CookiePersistence)


def pool(writer: Writer, service: VirtualService) -> None:
    """The backend's lines."""
    if isinstance(service.persistence, CookiePersistence) and is_http(service):
        _cookie(writer, service.persistence)
    elif isinstance(service.persistence, SourcePersistence):
        _stick(writer, service, service.persistence)


def tables(writer: Writer, service: VirtualService) -> None:
    """Backends that only hold a further stick table of the service."""


def _cookie(writer: Writer, persistence: CookiePersistence) -> None:
    writer.line(
        "cookie",
        write.cookie_name(persistence.name),
        write.keywords("insert indirect nocache httponly maxidle"),
        write.number(persistence.idle_s, 1, 30 * 86_400),
        write.keywords("maxlife"),
        write.number(persistence.life_s, 1, 30 * 86_400),
    )


def _stick(writer: Writer, service: VirtualService, persistence: SourcePersistence) -> None:
    kind = "ip" if service.vip.version == 4 else "ipv6"
    writer.line(
        f"stick-table type {kind} size 100k expire",
        write.seconds(persistence.timeout_s),
        write.keywords("peers willis"),
    )
    writer.line("stick on", write.mask(service.vip, persistence.mask))
