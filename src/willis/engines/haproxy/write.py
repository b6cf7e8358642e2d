"""The only way to print into a file that HAProxy reads: tokens, each past the allow-list of its grammar.

A value can therefore never add a word or a line. Fixed text comes from ``Idiom``, whose
members are constants; everything else is keywords of ours or a token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256

from willis.engines.haproxy.idioms import Idiom
from willis.model.service import NAME, Address


class TokenError(ValueError):
    """A value that may not stand in the file. The text says which, and what is allowed."""


@dataclass(frozen=True, slots=True)
class Token:
    """One word that passed its allow-list. Made by the functions below."""

    text: str


PEERS_SOCKET = Token("unix@peers.sock")
"""Relative to the directory that HAProxy is started in, which is also the workers' root."""

_KEYWORDS = re.compile(r"\A[a-z0-9_-]+(?: [a-z0-9_-]+)*\Z")
_SERVER = re.compile(r"\A(?:fallback:)?[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")
_COOKIE = re.compile(r"\A[A-Za-z0-9_-]{1,64}\Z")
_PATH = re.compile(r"\A/[A-Za-z0-9._/+@-]{1,200}\Z")
_THUMBPRINT = re.compile(r"\A[A-Za-z0-9_-]{43}\Z")
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


def mask(address: Address, length: int) -> Token:
    """The client's address cut to ``length`` bits, as a sample expression."""
    bits = number(length, 1, address.max_prefixlen).text
    return Token(f"src,ipmask({bits})" if address.version == 4 else f"src,ipmask(32,{bits})")


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
