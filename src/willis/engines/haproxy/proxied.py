"""Who the client is, below HTTP: the PROXY protocol in and out, and the client's own address. Pure."""

from __future__ import annotations

from willis.engines.haproxy import write
from willis.engines.haproxy.write import Token, Writer
from willis.model.proxy import ProxyProtocol
from willis.model.service import VirtualService


def bind(service: VirtualService) -> tuple[Token, ...]:
    """What each bind line says."""
    return (write.keywords("accept-proxy"),) if service.behind_proxies else ()


def pool(writer: Writer, service: VirtualService) -> None:
    """The backend's lines."""
    if service.transparent:
        # Over the way back that the routes engine keeps.
        writer.line("source", write.any_address(service.vip), write.keywords("usesrc clientip"))


def server(service: VirtualService) -> tuple[Token, ...]:
    """What each server line says."""
    spoken = service.proxy_protocol
    return () if spoken is None else (write.keywords(_SENT[spoken]),)


_SENT = {ProxyProtocol.V1: "send-proxy", ProxyProtocol.V2: "send-proxy-v2"}
