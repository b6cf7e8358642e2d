"""Limits and time-outs of connections, requests, bodies and queues, and how connections are reused. Pure.

A service that asks for nothing writes no line here: the idioms' defaults are the model's.
Clients are counted in a table of its own, apart from persistence, that a reload hands on.
"""

from __future__ import annotations

from collections.abc import Iterator

from willis.engines.haproxy import write
from willis.engines.haproxy.idioms import Idiom
from willis.engines.haproxy.kind import is_http
from willis.engines.haproxy.write import Token, Writer
from willis.model.proxy import KeepAlive, Limits, ProxyTimeouts
from willis.model.service import VirtualService

_MOST = 1_000_000
_LARGEST_BODY = 2**40


def front(writer: Writer, service: VirtualService) -> None:
    """The frontend's lines."""
    _client_waits(writer, service)
    if service.limits.connections is not None:
        writer.line("maxconn", write.number(service.limits.connections, 1, _MOST))
    if _counts(service.limits):
        _count(writer, service)
    if is_http(service):
        if service.http.keep_alive is KeepAlive.NONE:
            writer.line("option httpclose")
        if service.limits.body is not None:
            _body(writer, service.limits.body)


def pool(writer: Writer, service: VirtualService) -> None:
    """The backend's lines."""
    usual, waits = ProxyTimeouts(), service.waits
    if waits.connect_s != usual.connect_s:
        writer.line("timeout connect", write.seconds(waits.connect_s))
    if is_http(service):
        if waits.response_s != usual.response_s:
            writer.line("timeout server", write.seconds(waits.response_s))
    elif waits.idle_s != usual.idle_s:
        writer.line("timeout server", write.seconds(waits.idle_s))
    if waits.idle_s != usual.idle_s:
        writer.line("timeout tunnel", write.seconds(waits.idle_s))
    if waits.queue_s != usual.queue_s:
        writer.line("timeout queue", write.seconds(waits.queue_s))
    if is_http(service):
        _reuse(writer, service)


def server(service: VirtualService) -> tuple[Token, ...]:
    """What each server line says."""
    return tuple(_server(service))


def tables(writer: Writer, service: VirtualService) -> None:
    """The backend that only holds the table in which clients are counted."""
    if not service.ports or not _counts(service.limits):
        return
    writer.section("backend", write.limits_table(service.name), write.keywords("from willis-tcp"))
    # Entries that are in use stay; the others are of no use after the 10 s of the rates.
    writer.line("stick-table type ipv6 size 100k expire 30s", write.RATES, write.keywords("peers willis"))


def _client_waits(writer: Writer, service: VirtualService) -> None:
    usual, waits = ProxyTimeouts(), service.waits
    if not is_http(service):
        if waits.idle_s != usual.idle_s:
            writer.line("timeout client", write.seconds(waits.idle_s))
        return
    if waits.request_s != usual.request_s:
        writer.line("timeout http-request", write.seconds(waits.request_s))
    if waits.keep_alive_s != usual.keep_alive_s:
        writer.line("timeout http-keep-alive", write.seconds(waits.keep_alive_s))


def _counts(limits: Limits) -> bool:
    """Whether anything is limited by the client's address."""
    return (limits.per_client, limits.connection_rate, limits.request_rate) != (None, None, None)


def _count(writer: Writer, service: VirtualService) -> None:
    """Behind proxies the client is known only after the PROXY protocol's header; else refuse before TLS.

    A trusted proxy's connections carry many clients, so only the requests of those it names are counted.
    """
    stage = "tcp-request session" if service.behind_proxies else "tcp-request connection"
    limits = service.limits
    trusted = service.http.trust if is_http(service) else ()
    spared = (*limits.exempt, *trusted)
    table = (write.keywords("table"), write.limits_table(service.name))
    writer.line(f"{stage} track-sc0", write.CLIENT, *table, *((write.unless_from(spared),) if spared else ()))
    if limits.per_client is not None:
        writer.line(f"{stage} reject", write.if_more("sc0_conn_cur", limits.per_client, _MOST))
    if limits.connection_rate is not None:
        writer.line(f"{stage} reject", write.if_more("sc0_conn_rate", limits.connection_rate, _MOST))
    if limits.request_rate is not None and is_http(service):
        if trusted:
            named = write.if_named(trusted, limits.exempt)
            writer.line("http-request track-sc0", write.NAMED_CLIENT, *table, named)
        too_many = write.if_more("sc0_http_req_rate", limits.request_rate, _MOST)
        writer.line("http-request deny deny_status 429", too_many)


def _body(writer: Writer, most: int) -> None:
    """HAProxy knows the announced length only, so what announces none is refused too."""
    writer.line("http-request deny deny_status 413", write.if_more("req.body_size", most, _LARGEST_BODY))
    writer.idiom(Idiom.LENGTH_REQUIRED)


def _reuse(writer: Writer, service: VirtualService) -> None:
    if service.http.keep_alive is KeepAlive.CLIENT:
        writer.line("option http-server-close")
    elif service.http.keep_alive is KeepAlive.NONE:
        writer.line("option httpclose")
    if service.http.compress:
        writer.line("compression algo gzip")
        writer.line("compression type", *map(write.media_type, service.http.compress))


def _server(service: VirtualService) -> Iterator[Token]:
    if service.limits.per_server is not None:
        yield write.keywords("maxconn")
        yield write.number(service.limits.per_server, 1, _MOST)
    if is_http(service) and service.http.http2_to_servers:
        # Few servers take WebSocket over HTTP/2 (RFC 8441); all that have it take it over HTTP/1.1.
        yield write.keywords("ws h1")
        yield write.keywords("proto h2") if service.server_tls is None else write.ALPN_H2
