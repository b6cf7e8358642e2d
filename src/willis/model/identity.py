"""Who asks Willis for something, and what they may do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._@-]{0,63}\Z")
"""What the name of a user or a token may be (1 to 64 characters)."""
PATTERN = re.compile(r"\A[A-Za-z0-9*?][A-Za-z0-9._*?-]{0,62}\Z")
"""A service by name, or several: ``*`` and ``?`` stand for any characters."""

Network = IPv4Network | IPv6Network


class Role(StrEnum):
    """What somebody is to the site. An administrator may do everything."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    EDITOR = "editor"
    ADMIN = "admin"
    AUDITOR = "auditor"


class Need(StrEnum):
    """What a route asks of its caller."""

    NOTHING = "nothing"
    """Also of strangers: only signing in."""
    SELF = "self"
    """To be somebody: one's own sessions, second factor and password."""
    READ = "read"
    OPERATE = "operate"
    """Drain, halt, online, checks asked by hand, ties of clients."""
    CONFIGURE = "configure"
    """Documents, change sets, certificates."""
    AUDIT = "audit"
    ADMINISTER = "administer"
    """Users, tokens of others, secrets, backups."""


class Way(StrEnum):
    """How a caller proved who they are."""

    CONSOLE = "console"
    """The engine's own socket; the kernel names the user."""
    SESSION = "session"
    TOKEN = "token"  # noqa: S105 - a word, no secret
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Grant:
    """A role in some services, by names in which ``*`` and ``?`` stand for any characters."""

    role: Role
    services: tuple[str, ...] = ("*",)


@dataclass(frozen=True, slots=True)
class User:
    """Somebody whom the node knows by itself. Nothing here is secret."""

    name: str
    grants: tuple[Grant, ...]
    second_factor: bool
    changed: float
    """Seconds since the epoch at which password or grants were last set."""


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who signed in. Times in seconds since the epoch."""

    handle: str
    """Names it in lists; nobody gets in with it."""
    name: str
    grants: tuple[Grant, ...]
    how: str
    """``local``, or who else vouched: ``oidc``, ``ldap``."""
    source: str
    """The client's address at sign-in."""
    begun: float
    seen: float


@dataclass(frozen=True, slots=True)
class Token:
    """A program's way in. Times in seconds since the epoch."""

    name: str
    grants: tuple[Grant, ...]
    networks: tuple[Network, ...]
    """Where it may come from; empty: from anywhere."""
    created: float
    created_by: str
    expires: float
    used: float | None
    """Last, to a minute; None: never."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who asks."""

    name: str
    way: Way
    grants: tuple[Grant, ...] = ()
    source: str = "socket"
    """The client's address where they came over the network."""


NOBODY = Caller("nobody", Way.NOBODY)
