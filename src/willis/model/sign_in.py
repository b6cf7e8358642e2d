"""Who else vouches for people: an OpenID provider, and what its groups may do here."""

from __future__ import annotations

from dataclasses import dataclass

from willis.model.identity import Role


@dataclass(frozen=True, slots=True)
class GroupGrant:
    """What members of one group of the provider may do."""

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
class SignIn:
    """Beside the users that the node keeps itself."""

    oidc: Oidc | None = None
