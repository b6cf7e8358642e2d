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

_PATTERNS_A_LINE = 8
"""HAProxy reads at most 64 words and 2 KiB a line."""


def front(writer: Writer, service: VirtualService) -> None:
    """The frontend's lines."""
    chosen = folded = False
    for number, rule in enumerate(service.http.rules):
        if _asks_path(rule.when) and not folded:
            writer.line("http-request", write.phrase(Phrase.FOLD_PATH))
        folded = (folded or _asks_path(rule.when)) and not isinstance(rule, RewritePath)
        names = _conditions(writer, number, rule.when)
        _rule(writer, number, rule, write.condition(names, unless_chosen=chosen))
        chosen = chosen or isinstance(rule, UsePool)
    if chosen:
        writer.line("use_backend", write.phrase(Phrase.CHOSEN_POOL), write.phrase(Phrase.IF_CHOSEN))


def _asks_path(when: When) -> bool:
    return bool(when.paths or when.path_begins or when.path_ends or when.path_matches)


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
    for of, sample, patterns in _alternatives(when):
        if not patterns:
            continue
        name = names.setdefault(of, write.keywords(f"rule{number}-{of}"))
        for start in range(0, len(patterns), _PATTERNS_A_LINE):
            writer.line("acl", name, *sample, *patterns[start : start + _PATTERNS_A_LINE])
    return list(names.values())


def _alternatives(when: When) -> Iterator[tuple[str, tuple[Token, ...], tuple[Token, ...]]]:
    """(condition, sample, patterns)."""
    whole = [host.lower() for host in when.hosts if not host.startswith("*")]
    ends = [host[1:].lower() for host in when.hosts if host.startswith("*")]
    for how, hosts in (("str", whole), ("end", ends)):
        yield "hosts", (write.phrase(Phrase.HOST_NAME), write.matched(how)), _quoted(hosts)
    paths = (
        ("str", when.paths),
        ("beg", when.path_begins),
        ("end", when.path_ends),
        ("reg", when.path_matches),
    )
    for how, patterns in paths:
        yield f"path-{how}", (write.phrase(Phrase.PATH), write.matched(how)), _quoted(patterns)
    for of, sample, wanted in (("queries", "url_param", when.queries), ("headers", "req.hdr", when.headers)):
        for each in wanted:
            yield of, (write.fetched(sample, each.name), write.matched("str")), _quoted([each.value])
    yield "methods", (write.keywords("method"),), _quoted(when.methods)
    yield "sources", (write.keywords("src"),), write.networks(when.sources)


def _quoted(patterns: Sequence[str]) -> tuple[Token, ...]:
    return tuple(map(write.quoted, patterns))
