"""The only way to print into a file that HAProxy reads: tokens, each past the allow-list of its grammar.

A value can therefore never add a word or a line. Fixed text comes from ``Idiom``, whose
members are constants; everything else is keywords of ours or a token.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from willis.engines.haproxy.idioms import Idiom, Phrase
from willis.model.proxy import Network
from willis.model.service import NAME, Address


class TokenError(ValueError):
    """A value that may not stand in the file. The text says which, and what is allowed."""


@dataclass(frozen=True, slots=True)
class Token:
    """One word that passed its allow-list. Made by the functions below."""

    text: str


PEERS_SOCKET = Token("unix@peers.sock")
"""Relative to the directory that HAProxy is started in, which is also the workers' root."""
CLIENT = Token("src,ipmask(32,64)")
"""Who counts as one client: an IPv4 address, or the /64 that an IPv6 host may choose its address in."""
NAMED_CLIENT = Token("req.hdr_ip(x-forwarded-for,-1),ipmask(32,64)")
"""The same of whom a trusted proxy names: the last address, which it wrote itself."""
RATES = Token("store conn_cur,conn_rate(10s),http_req_rate(10s)")
"""What is counted of each client."""
ALPN_H2 = Token("alpn h2,http/1.1")
"""Offer HTTP/2, and take HTTP/1.1 from what has no other."""

_KEYWORDS = re.compile(r"\A[a-z0-9_-]+(?: [a-z0-9_-]+)*\Z")
_SERVER = re.compile(r"\A(?:fallback:)?[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")
_COOKIE = re.compile(r"\A[A-Za-z0-9_-]{1,64}\Z")
_PATH = re.compile(r"\A/[A-Za-z0-9._/+@-]{1,200}\Z")
_OPTION = re.compile(r"\A[A-Za-z0-9:_.,/+-]{1,600}\Z")
_COMMON_NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9 ._@-]{0,62}\Z")
_HOST = re.compile(r"\A(?:\*\.)?[A-Za-z0-9][A-Za-z0-9.-]{0,252}\Z")
_THUMBPRINT = re.compile(r"\A[A-Za-z0-9_-]{43}\Z")
_HEADER = re.compile(r"\A[A-Za-z0-9_-]{1,64}\Z")
_ADDRESS = re.compile(r"\Ahttps?://[A-Za-z0-9.\[\]:-]{1,253}(/[A-Za-z0-9/._~!()*+,;=:@?#-]{0,500})?\Z")
_QUOTABLE = re.compile(r"\A[\x20-\x26\x28-\x7e]{1,600}\Z")
_MEDIA = re.compile(r"\A[a-z]+/[a-z0-9.+-]{1,80}\Z")
_SAMPLE = re.compile(r"\A[a-z0-9_]+(?:\.[a-z0-9_]+)?\Z")
_TITLE = re.compile(r"\A(?!#)[A-Za-z0-9_.#/@:+&!-]{1,16}\Z")
_USER = re.compile(r"\A[a-z_][a-z0-9_-]{0,31}\Z")


def keywords(text: str) -> Token:
    """Words of HAProxy's own: lower-case letters, digits, hyphen and underscore."""
    return _allowed("keywords", _KEYWORDS, text)


def name(text: str) -> Token:
    """A service."""
    return _allowed("a service's name", NAME, text)


def server_name(text: str) -> Token:
    """A host in a pool, or ``fallback:HOST``."""
    return _allowed("a server's name", _SERVER, text)


def cookie_name(text: str) -> Token:
    """A cookie's name: a subset of RFC 6265's token."""
    return _allowed("a cookie's name", _COOKIE, text)


def path(text: str) -> Token:
    """An absolute path."""
    return _allowed("a path", _PATH, text)


def option(text: str) -> Token:
    """What follows a word of TLS: suites, curves, protocols."""
    return _allowed("a list of TLS", _OPTION, text)


def common_name(text: str) -> Token:
    """The common name of a certificate, in quotes: it may hold spaces."""
    return Token(f"'{_allowed('a common name', _COMMON_NAME, text).text}'")


def server_host(text: str) -> tuple[Token, ...]:
    """The name to ask a server for, and to find in its certificate."""
    host = _allowed("a host name", _HOST, text).text
    return Token("sni"), Token(f"str({host})"), Token("verifyhost"), Token(host)


def user_name(text: str) -> Token:
    """A user or group of the system."""
    return _allowed("a user's name", _USER, text)


def challenge(thumbprint: str) -> tuple[Token, ...]:
    """Status, content and condition of the answer to HTTP-01: the path's last part, a dot, the thumbprint.

    The part is base64url of the authority's own (RFC 8555, 8.3); a path with more in it is not answered.
    """
    ours = _allowed("a thumbprint", _THUMBPRINT, thumbprint)
    return (
        Token(f'200 content-type text/plain lf-string "%[path,field(-1,/)].{ours.text}"'),
        Token(r"if { path -m reg '^/\.well-known/acme-challenge/[A-Za-z0-9_-]{1,128}\z' }"),
    )


def phrase(which: Phrase) -> Token:
    """Fixed words."""
    return Token(which.value)


def aside(of: str, service: str) -> Token:
    """A proxy that serves ``service`` aside; no service can be called so: it has a colon."""
    return Token(f"{keywords(of).text}:{name(service).text}")


def header_name(text: str) -> Token:
    """A header's name: a subset of RFC 9110's token."""
    return _allowed("a header's name", _HEADER, text)


def quoted(text: str) -> Token:
    """Text in strong quotes, where nothing but their end means anything to HAProxy's parser."""
    return Token(f"'{_allowed('text', _QUOTABLE, text).text}'")


def networks(given: Iterable[Network]) -> tuple[Token, ...]:
    """Addresses with their prefix lengths."""
    return tuple(Token(str(network)) for network in given)


def fetched(what: str, argument: str) -> Token:
    """A sample with a name in it, such as ``req.hdr(NAME)``."""
    return Token(f"{_allowed('a sample', _SAMPLE, what).text}({header_name(argument).text})")


def max_age(seconds: Token) -> Token:
    """The value of Strict-Transport-Security (RFC 6797, 6.1)."""
    return Token(f'"max-age={seconds.text}"')


def same_host(port: int) -> Token:
    """The host that was asked for, over HTTPS at another port."""
    return Token(f"https://%[req.hdr(host),host_only]:{number(port, 1, 65_535).text}")


def matched(how: str) -> Token:
    """A way to compare; patterns follow, even those that begin with a hyphen."""
    return Token(f"-m {keywords(how).text} --")


def unless_found(sample: Token) -> Token:
    """The condition that there is no such thing."""
    return Token(f"unless {{ {sample.text} -m found }}")


def sorry(url: str) -> tuple[Token, ...]:
    """Media type and page of a 503 that takes browsers elsewhere; programs still see that it failed."""
    target = _allowed("an address", _ADDRESS, url)
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta http-equiv="refresh" content="0;url={target.text}"><title>Not available at the moment</title>'
        f'<p>This service is not available at the moment. <a href="{target.text}">Go on here</a>.</p></html>'
    )
    return (Token(f"\"text/html; charset=utf-8\" string '{page}' hdr Retry-After 30"),)


def note(variable: str, text: str) -> Token:
    """Keep a name with the request until its answer."""
    return Token(f"set-var(txn.{keywords(variable).text}) str({name(text).text})")


def noted(variable: str) -> Token:
    """The condition that ``note`` was reached."""
    return Token(f"if {{ var(txn.{keywords(variable).text}) -m found }}")


def condition(names: Sequence[Token], *, unless_chosen: bool) -> tuple[Token, ...]:
    """All of these ACLs, and no pool chosen yet; nothing if that is always so."""
    words = [token.text for token in names]
    if unless_chosen:
        words.append("!{ var(txn.pool) -m found }")
    return (Token(f"if {' '.join(words)}"),) if words else ()


HEAD = Token("if { req.len ge 74 }")
"""The A-ASSOCIATE-RQ is here up to its items."""
CALLING = Token("var(sess.calling)")


def renamed(title: str) -> Token:
    """Note the AE title that servers shall see."""
    wanted = _allowed("an AE title", _TITLE, title).text.replace("#", "\\#")  # else a comment begins there
    return Token(f"set-var(txn.rename) str({wanted})")


def rejected(which: str, known: Token) -> Token:
    """Reject an association whose called or calling title is not in a map."""
    who = keywords(which).text
    return Token(f"lua.dicom_{who} {HEAD.text} !{{ var(sess.{who}),map({known.text}) -m found }}")


def bound(known: Token) -> Token:
    """Note the common name that a calling AE title needs."""
    return Token(f"set-var(sess.bound) var(sess.calling),map({known.text})")


def nobody(pool: str, routes: Token | None, routed_to: str | None) -> Token:
    """If the pool that would serve has nobody. ``routed_to``: None for the default pool.

    After a reload the old worker counts no servers any more, though it still serves with them.
    """
    empty = f"{HEAD.text} {{ nbsrv({name(pool).text}) lt 1 }} !{{ stopping }}"
    if routes is None:
        return Token(empty)
    leads = f"{{ var(sess.called),map({routes.text}) -m"
    mine = f"{leads} str {name(routed_to).text} }}" if routed_to else f"!{leads} found }}"
    return Token(f"{empty} {mine}")


def routed(routes: Token) -> tuple[Token, ...]:
    """The pool that a called AE title leads to."""
    leads = f"var(sess.called),map({routes.text})"
    return (Token(f"%[{leads}]"), Token(f"if {{ {leads} -m found }}"))


def number(value: int, low: int, high: int) -> Token:
    """A whole number in ``low`` to ``high``."""
    if not low <= value <= high:
        raise TokenError(f"{value} cannot stand in HAProxy's configuration here: it must be {low} to {high}")
    return Token(str(int(value)))


def seconds(value: int) -> Token:
    """A duration of 1 s to 30 days."""
    return Token(number(value, 1, 30 * 86_400).text + "s")


def endpoint(address: Address, port: int | None) -> Token:
    """``ADDRESS:PORT``; without a port HAProxy takes the one that the client used."""
    host = f"[{address}]" if address.version == 6 else str(address)
    if "%" in host:
        raise TokenError(f"{address} carries a zone, which HAProxy does not take; name the address alone")
    return Token(host if port is None else f"{host}:{number(port, 1, 65_535).text}")


def any_address(like: Address) -> Token:
    """The unspecified address of the same family."""
    return Token("0.0.0.0" if like.version == 4 else "[::]")  # noqa: S104 - nobody listens there


def mask(address: Address, length: int) -> Token:
    """The client's address cut to ``length`` bits, as a sample expression."""
    bits = number(length, 1, address.max_prefixlen).text
    return Token(f"src,ipmask({bits})" if address.version == 4 else f"src,ipmask(32,{bits})")


def limits_table(service: str) -> Token:
    """The table in which a service's clients are counted; the colon keeps it apart from any service."""
    return Token(f"limits:{name(service).text}")


def media_type(text: str) -> Token:
    """Such as ``text/html``."""
    return _allowed("a media type", _MEDIA, text)


def if_more(sample: str, limit: int, most: int) -> Token:
    """The condition that a sample of HAProxy's own is above ``limit`` (1 to ``most``)."""
    fetch = _allowed("a sample", _SAMPLE, sample)
    return Token(f"if {{ {fetch.text} gt {number(limit, 1, most).text} }}")


def unless_from(networks: Iterable[Network]) -> Token:
    """The condition that the client is in none of these networks."""
    return Token(f"if !{{ src {' '.join(map(str, networks))} }}")


def if_named(proxies: Iterable[Network], exempt: Iterable[Network]) -> Token:
    """The condition that one of ``proxies`` asks for a client that is in no network of ``exempt``."""
    usual = f"if {{ src {' '.join(map(str, proxies))} }}"
    spared = " ".join(map(str, exempt))
    return Token(f"{usual} !{{ req.hdr_ip(x-forwarded-for,-1) {spared} }}" if spared else usual)


class Writer:
    """Collects sections and lines."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def section(self, words: str, *tokens: Token) -> None:
        self._lines += ["", _joined(words, tokens)]

    def line(self, words: str, *tokens: Token) -> None:
        self._lines.append(f"    {_joined(words, tokens)}")

    def remark(self, words: str, *tokens: Token) -> None:
        """A comment."""
        self._lines.append(f"    # {_joined(words, tokens)}")

    def idiom(self, idiom: Idiom) -> None:
        """A block of fixed text."""
        self._lines.append(idiom.value.strip("\n"))

    def text(self) -> str:
        return "\n".join(self._lines).strip("\n") + "\n"


_STAMP = re.compile(r"^    description willis-([0-9a-f]{32})\n", re.MULTILINE)


def stamped(text: str) -> str:
    """``text`` with its own digest in the global section, where ``show info`` repeats it.

    So a running worker tells which text it loaded, and a text tells whether it is whole.
    """
    return text.replace("global\n", f"global\n    description willis-{_digest(text)}\n", 1)


def stamp_of(text: str) -> str | None:
    """The digest in a stamped text; None if there is none or the text was changed since."""
    found = _STAMP.search(text)
    if found is None or _digest(_STAMP.sub("", text, count=1)) != found[1]:
        return None
    return f"willis-{found[1]}"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:32]


def _joined(words: str, tokens: tuple[Token, ...]) -> str:
    return " ".join(token.text for token in (keywords(words), *tokens))


def _allowed(what: str, pattern: re.Pattern[str], text: str) -> Token:
    if not pattern.match(text):
        raise TokenError(
            f"{text!r} cannot stand in HAProxy's configuration as {what}; it must match {pattern.pattern}"
        )
    return Token(text)
