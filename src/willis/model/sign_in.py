"""Who else vouches for people: an OpenID provider, a directory; and what their groups may do here."""

from __future__ import annotations

from dataclasses import dataclass

from willis.model.identity import Role


@dataclass(frozen=True, slots=True)
class GroupGrant:
    """What members of one group, of those who vouch, may do."""

    group: str
    role: Role
    services: tuple[str, ...] = ("*",)
    """Names of services in which ``*`` and ``?`` stand for any characters."""


@dataclass(frozen=True, slots=True)
class Oidc:
    """An OpenID provider (OpenID Connect Core 1.0), and what we are to it."""

    issuer: str
    """Its URL, as its ID tokens name it."""
    client_id: str
    secret: str
    """The client's, by name in the sealed store."""
    grants: tuple[GroupGrant, ...]
    groups_claim: str = "groups"
    authority: str | None = None
    """Who signed its certificate, by name in the store; None: the system's authorities."""


@dataclass(frozen=True, slots=True)
class Ldap:
    """A directory (LDAP over TLS), asked with the name and password of whoever signs in."""

    servers: tuple[str, ...]
    """Asked in this order until one answers."""
    bind: str
    """Whom to bind as, with ``{name}`` for the name that was typed: a distinguished name, or a user's
    principal name of Active Directory."""
    base: str
    """Below this distinguished name users and groups are looked for."""
    grants: tuple[GroupGrant, ...]
    port: int = 636
    authority: str | None = None
    """Who signed its certificate, by name in the store; None: the system's authorities."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """Beside the users that the node keeps itself."""

    oidc: Oidc | None = None
    ldap: Ldap | None = None
