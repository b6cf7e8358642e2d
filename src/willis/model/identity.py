"""Who asks Willis for something, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
class Caller:
    """Somebody who asks."""

    name: str
    way: Way
    grants: tuple[Grant, ...] = ()
    source: str = "socket"
    """The client's address where they came over the network."""


NOBODY = Caller("nobody", Way.NOBODY)
