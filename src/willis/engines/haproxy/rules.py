"""The document's rules for HTTP, in its order. Pure.

HAProxy looks at all ``http-request`` rules before it chooses a backend. So a rule that
chooses a pool notes it in ``txn.pool``, and what stands after it is for requests without
one. Answers know nothing of the request any more; so a rule for them notes at the
request whether it is meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from willis.engines.haproxy import write
from willis.engines.haproxy.idioms import Phrase
from willis.engines.haproxy.write import Token, Writer
from willis.model.proxy import (
    AddHeader,
    DeleteHeader,
    Deny,
    Redirect,
    ReplaceHeader,
    RewritePath,
    Rule,
    SetHeader,
    Side,
    UsePool,
    When,
)
from willis.model.service import VirtualService


def front(writer: Writer, service: VirtualService) -> None:
    """The frontend's lines."""
    chosen = False
    for number, rule in enumerate(service.http.rules):
        names = _conditions(writer, number, rule.when)
        _rule(writer, number, rule, write.condition(names, unless_chosen=chosen))
        chosen = chosen or isinstance(rule, UsePool)
    if chosen:
        writer.line("use_backend", write.phrase(Phrase.CHOSEN_POOL), write.phrase(Phrase.IF_CHOSEN))


def _rule(writer: Writer, number: int, rule: Rule, condition: Sequence[Token]) -> None:
    match rule:
        case UsePool():
            writer.line("http-request", write.note("pool", rule.service), *condition)
        case Redirect():
            how = write.keywords("redirect prefix" if rule.keep_path else "redirect location")
            code = (write.keywords("code"), write.number(rule.status, 301, 308))
            writer.line("http-request", how, write.quoted(rule.to), *code, *condition)
        case Deny():
            writer.line("http-request return status", write.number(rule.status, 400, 499), *condition)
        case RewritePath():
            words = (write.quoted(rule.matches), write.quoted(rule.to))
            writer.line("http-request replace-path", *words, *condition)
        case _:
            _header(writer, number, rule, condition)


def _header(
    writer: Writer,
    number: int,
    rule: SetHeader | AddHeader | ReplaceHeader | DeleteHeader,
    condition: Sequence[Token],
) -> None:
    if rule.on is Side.RESPONSE and condition:
        writer.line("http-request", write.note(f"rule{number}", "meant"), *condition)
        condition = (write.noted(f"rule{number}"),)
    name = write.header_name(rule.name)
    match rule:
        case SetHeader() | AddHeader():
            verb, values = "set" if isinstance(rule, SetHeader) else "add", [rule.value]
        case ReplaceHeader():
            verb, values = "replace", [rule.matches, rule.value]
        case DeleteHeader():
            verb, values = "del", []
    writer.line(f"http-{rule.on} {verb}-header", name, *_quoted(values), *condition)


def _conditions(writer: Writer, number: int, when: When) -> list[Token]:
    """An ACL for each condition that is given; lines of one name are alternatives."""
    names: dict[str, Token] = {}
    for of, words in _alternatives(when):
        name = names.setdefault(of, write.keywords(f"rule{number}-{of}"))
        writer.line("acl", name, *words)
    return list(names.values())


def _alternatives(when: When) -> Iterator[tuple[str, tuple[Token, ...]]]:
    """(condition, sample with patterns)."""
    whole = [host.lower() for host in when.hosts if not host.startswith("*")]
    ends = [host[1:].lower() for host in when.hosts if host.startswith("*")]
    for how, hosts in (("str", whole), ("end", ends)):
        if hosts:
            yield "hosts", (write.phrase(Phrase.HOST_NAME), write.keywords(f"-m {how}"), *_quoted(hosts))
    paths = (
        ("str", when.paths),
        ("beg", when.path_begins),
        ("end", when.path_ends),
        ("reg", when.path_matches),
    )
    for how, patterns in paths:
        if patterns:
            yield f"path-{how}", (write.keywords(f"path -m {how}"), *_quoted(patterns))
    for of, sample, wanted in (("queries", "url_param", when.queries), ("headers", "req.hdr", when.headers)):
        for each in wanted:
            yield of, (write.fetched(sample, each.name), write.keywords("-m str"), write.quoted(each.value))
    if when.methods:
        yield "methods", (write.keywords("method"), *_quoted(when.methods))
    if when.sources:
        yield "sources", (write.keywords("src"), *write.networks(when.sources))


def _quoted(patterns: Sequence[str]) -> tuple[Token, ...]:
    return tuple(map(write.quoted, patterns))
