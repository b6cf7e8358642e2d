"""TLS towards clients and towards real servers. Pure.

Suites, curves and versions stand on every line: OpenSSL's own lists still offer RSA key
exchange. Tickets are off, since nobody rotates their key; 0-RTT is off by default.
"""

from __future__ import annotations

from collections.abc import Iterator

from willis.engines.haproxy import write
from willis.engines.haproxy.files import HaproxyFiles
from willis.engines.haproxy.kind import is_http
from willis.engines.haproxy.write import Token, Writer
from willis.model.proxy import ServerTls, Tls, TlsPolicy
from willis.model.service import VirtualService

_GCM = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
)
_AEAD = f"{_GCM}:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
_SUITES = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
_CURVES = "X25519:P-256:P-384"

_CIPHERS = {
    TlsPolicy.MODERN: None,
    TlsPolicy.INTERMEDIATE: _AEAD,
    TlsPolicy.BCP195: _GCM,
    TlsPolicy.MODIFIED_BCP195: _AEAD,
}
"""TLS 1.2's suites by policy; None: TLS 1.3 only. BCP 195 recommends the four (RFC 9325, 4.2)."""


class MissingError(ValueError):
    """A service names what the store does not hold."""


def bind(service: VirtualService, files: HaproxyFiles) -> tuple[Token, ...]:
    """What each bind line says."""
    tls = service.tls
    if tls is None:
        return ()
    crts = [
        word for name in tls.certificates for word in (*_words("crt"), _certificate(service, name, files))
    ]
    return (*_words("ssl"), *crts, *_alpn(service), *_policy(tls.policy), *_clients(service, tls, files))


def front(writer: Writer, service: VirtualService) -> None:
    """The frontend's lines: whose certificate may enter. Without one a client enters if none is required."""
    clients = service.tls.clients if service.tls is not None else None
    if clients is None or not clients.names:
        return
    for name in clients.names:
        writer.line("acl willis-known", Token("ssl_c_s_dn(cn) -m str"), write.common_name(name))
    deny = "http-request deny deny_status 403" if is_http(service) else "tcp-request content reject"
    writer.line(deny, Token("if { ssl_c_used } !willis-known"))


def server(service: VirtualService, files: HaproxyFiles) -> tuple[Token, ...]:
    """What each server line says."""
    tls = service.server_tls
    if tls is None:
        return ()
    crt = () if tls.certificate is None else (*_words("crt"), _certificate(service, tls.certificate, files))
    return (*_words("ssl ssl-min-ver"), Token("TLSv1.2"), *_trust(service, tls, files), *crt)


def artefacts(service: VirtualService, files: HaproxyFiles) -> Iterator[tuple[str, str]]:
    """The certificates that the worker must hold: ``certificate/NAME`` and the leaf's fingerprint."""
    held = dict(files.holdings.certificates) if files.holdings is not None else {}
    for name in used(service):
        if name in held:
            yield f"certificate/{name}", held[name]


def used(service: VirtualService) -> tuple[str, ...]:
    """The certificates that a service names."""
    own = service.tls.certificates if service.tls is not None else ()
    shown = service.server_tls.certificate if service.server_tls is not None else None
    return own if shown is None else (*own, shown)


def remarks(writer: Writer, service: VirtualService, files: HaproxyFiles) -> None:
    """The authorities' content, so that new ones are a new text, which HAProxy reads anew."""
    held = dict(files.holdings.authorities) if files.holdings is not None else {}
    names = {
        service.tls.clients.authority if service.tls is not None and service.tls.clients else None,
        service.server_tls.authority if service.server_tls is not None else None,
    }
    for name in sorted(each for each in names if each is not None and each in held):
        writer.remark("authority", write.name(name), write.name(held[name][:32]))


def _policy(policy: TlsPolicy) -> tuple[Token, ...]:
    ciphers = _CIPHERS[policy]
    least = "TLSv1.3" if ciphers is None else "TLSv1.2"
    old = () if ciphers is None else (*_words("ciphers"), write.option(ciphers))
    return (
        *_words("ssl-min-ver"),
        write.option(least),
        *old,
        *_words("ciphersuites"),
        write.option(_SUITES),
        *_words("curves"),
        write.option(_CURVES),
        *_words("no-tls-tickets prefer-client-ciphers"),
    )


def _alpn(service: VirtualService) -> tuple[Token, ...]:
    if not is_http(service):
        return ()
    return (*_words("alpn"), write.option("h2,http/1.1" if service.http.http2 else "http/1.1"))


def _clients(service: VirtualService, tls: Tls, files: HaproxyFiles) -> tuple[Token, ...]:
    if tls.clients is None:
        return ()
    verify = "verify required" if tls.clients.required else "verify optional"
    return (*_words("ca-file"), _authority(service, tls.clients.authority, files), *_words(verify))


def _trust(service: VirtualService, tls: ServerTls, files: HaproxyFiles) -> tuple[Token, ...]:
    host = () if tls.name is None else write.server_host(tls.name)
    if not tls.verify:
        return (*_words("verify none"), *host[:2])
    system = Token("@system-ca")
    whose = system if tls.authority is None else _authority(service, tls.authority, files)
    return (*_words("verify required ca-file"), whose, *host)


def _certificate(service: VirtualService, name: str, files: HaproxyFiles) -> Token:
    if files.holdings is not None and name not in dict(files.holdings.certificates):
        raise MissingError(
            f"service {service.name} names the certificate {name}, which is not in the store; "
            f"add it first with 'willis certificate add {name} FILE...'"
        )
    return write.path(f"{files.tls}/{write.name(name).text}.pem")


def _authority(service: VirtualService, name: str, files: HaproxyFiles) -> Token:
    if files.holdings is not None and name not in dict(files.holdings.authorities):
        raise MissingError(
            f"service {service.name} names the authority {name}, which is not in the store; "
            f"add it first with 'willis certificate authority add {name} FILE'"
        )
    return write.path(f"{files.tls}/authority/{write.name(name).text}.pem")


def _words(keywords: str) -> tuple[Token, ...]:
    return (write.keywords(keywords),)
