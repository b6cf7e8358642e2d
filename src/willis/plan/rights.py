"""Decides what a caller may do. Pure; everything that no grant names is denied."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from willis.model.config import Config
from willis.model.identity import Caller, Grant, Need, Role, Way

_MAY = {
    Role.VIEWER: frozenset({Need.READ}),
    Role.OPERATOR: frozenset({Need.READ, Need.OPERATE}),
    Role.EDITOR: frozenset({Need.READ, Need.OPERATE, Need.CONFIGURE}),
    Role.AUDITOR: frozenset({Need.READ, Need.AUDIT}),
    Role.ADMIN: frozenset({Need.READ, Need.OPERATE, Need.CONFIGURE, Need.AUDIT, Need.ADMINISTER}),
}
_WHOLE = frozenset({Need.AUDIT, Need.ADMINISTER})
"""What concerns the whole site, so that a grant for some services is not enough."""


def may(caller: Caller, need: Need) -> bool:
    """Whether ``caller`` may use a route at all; for which services: ``allowed``."""
    if need is Need.NOTHING:
        return True
    if need is Need.SELF:
        return caller.way is not Way.NOBODY
    if need in _WHOLE:
        return everywhere(caller, need)
    return any(need in _MAY[grant.role] for grant in caller.grants)


def allowed(caller: Caller, need: Need, services: Iterable[str]) -> frozenset[str]:
    """Those of ``services`` for which ``caller`` may do it."""
    grants = [grant for grant in caller.grants if need in _MAY[grant.role]]
    return frozenset(name for name in services if any(_covers(grant, name) for grant in grants))


def everywhere(caller: Caller, need: Need) -> bool:
    """Whether ``caller`` may do it in all services, those to come too."""
    return any(need in _MAY[grant.role] and "*" in grant.services for grant in caller.grants)


def ordered(config: Config, where: str) -> frozenset[str]:
    """The services that an order for ``HOST`` or ``SERVICE/HOST`` touches."""
    service, slash, host = where.rpartition("/")
    return frozenset({service}) if slash else _of_host(config, host)


def sees(caller: Caller, config: Config, about: str) -> bool:
    """Whether an event about a service, ``SERVICE/HOST``, a host or an engine is the caller's to read."""
    name = about.partition("/")[0]
    services = _of_host(config, name) | ({name} if config.service(name) else set())
    return everywhere(caller, Need.READ) or bool(allowed(caller, Need.READ, services))


def is_admin(grants: Iterable[Grant]) -> bool:
    """Whether these make an administrator of the whole site."""
    return any(grant.role is Role.ADMIN and "*" in grant.services for grant in grants)


def _of_host(config: Config, host: str) -> frozenset[str]:
    return frozenset(service.name for service in config.services_of(host))


def _covers(grant: Grant, service: str) -> bool:
    return any(fnmatchcase(service, pattern) for pattern in grant.services)
