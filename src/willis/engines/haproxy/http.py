"""HTTP: what servers are told of the client, the document's rules, and the way to HTTPS. Pure."""

from __future__ import annotations

from willis.engines.haproxy import challenge, rules, write
from willis.engines.haproxy.files import HaproxyFiles
from willis.engines.haproxy.idioms import Phrase
from willis.engines.haproxy.kind import is_http
from willis.engines.haproxy.write import Token, Writer
from willis.model.proxy import Forwarded
from willis.model.service import VirtualService

_HTTPS = 443
_LONGEST_S = 730 * 86_400


_OUR_WORDS = (
    (Phrase.PORT, Phrase.UNLESS_PORT_SAID),
    (Phrase.HOST, Phrase.UNLESS_HOST_SAID),
)
"""What we say of the request, unless a trusted proxy has said it."""


def front(writer: Writer, service: VirtualService) -> None:
    """The frontend's lines."""
    _client(writer, service)
    if service.http.hsts_s is not None:
        age = write.number(service.http.hsts_s, 1, _LONGEST_S)
        writer.line(
            "http-after-response set-header",
            write.header_name("Strict-Transport-Security"),
            write.max_age(age),
        )
    rules.front(writer, service)


def pool(writer: Writer, service: VirtualService) -> None:
    """The backend's lines."""
    if service.http.sorry is not None:
        writer.line("http-error status 503 content-type", *write.sorry(service.http.sorry))


def aside(writer: Writer, service: VirtualService, files: HaproxyFiles, *far: Token) -> None:
    """The frontend that only sends browsers on to HTTPS. ``far``: what else its binds say."""
    if not is_http(service) or not service.http.https_from:
        return
    writer.section("frontend", write.aside("https", service.name), write.keywords("from willis-http-front"))
    for port in service.http.https_from:
        writer.line("bind", write.endpoint(service.vip, port), *far)
    challenge.answer(writer, files)
    # A method with a body may only be repeated as it was (RFC 9110, 15.4.9).
    for status, condition in (("301", (write.phrase(Phrase.SAFE_METHOD),)), ("308", ())):
        where = (Token(status), *condition)
        if service.ports[0] == _HTTPS:
            writer.line("http-request redirect scheme https code", *where)
        else:
            target = write.same_host(service.ports[0])
            writer.line("http-request redirect prefix", target, write.keywords("code"), *where)


def _client(writer: Writer, service: VirtualService) -> None:
    """Whose word on the client counts, and ours."""
    said = service.http
    when = Phrase.IF_ODD
    if said.trust:
        writer.line("acl trusted src", *write.networks(said.trust))
        when = Phrase.IF_ODD_UNLESS_TRUSTED
    writer.line("http-request del-header", write.phrase(Phrase.CLIENTS_WORDS), write.phrase(when))
    if said.forwarded in (Forwarded.X_FORWARDED, Forwarded.BOTH):
        writer.line("option forwardfor")
        proto = Phrase.PROTO_HTTP if service.tls is None else Phrase.PROTO_HTTPS
        for phrase, said_already in ((proto, Phrase.UNLESS_PROTO_SAID), *_OUR_WORDS):
            known = (write.phrase(said_already),) if said.trust else ()
            writer.line("http-request set-header", write.phrase(phrase), *known)
    if said.forwarded in (Forwarded.RFC7239, Forwarded.BOTH):
        for phrase, family in (
            (Phrase.FORWARDED_4, Phrase.UNLESS_IPV6),
            (Phrase.FORWARDED_6, Phrase.IF_IPV6),
        ):
            writer.line("http-request add-header", write.phrase(phrase), write.phrase(family))
    if said.prefix is not None:
        prefix = write.quoted(said.prefix)
        writer.line("http-request set-header", write.header_name("X-Forwarded-Prefix"), prefix)
