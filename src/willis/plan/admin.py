"""Drain, halt and online, pure: what an order makes of the states, and whom it leaves without servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from willis.model.config import Config
from willis.model.status import Admin, Place, Status
from willis.plan.members import members


class AdminRefusal(Exception):
    """The order cannot be carried out; the text says why and what to do."""


def find(config: Config, text: str) -> Place:
    """The place that ``HOST`` or ``SERVICE/HOST`` names. Raises AdminRefusal."""
    service, slash, host = text.rpartition("/")
    if not slash:
        if not any(h.name == host for h in config.hosts):
            known = ", ".join(h.name for h in config.hosts) or "none"
            raise AdminRefusal(f"there is no host {host!r}; hosts: {known}")
        return Place(host)
    found = config.service(service)
    if found is None:
        raise AdminRefusal(f"there is no service {service!r}; see 'willis status'")
    if not any(server.host == host for server in found.pool):
        known = ", ".join(server.host for server in found.pool)
        raise AdminRefusal(f"service {service} has no real server on host {host!r}; its pool: {known}")
    return Place(host, service)


def order(status: Status, place: Place, state: Admin) -> Status:
    """The status after an order.

    An order for a whole host replaces what was said of its single services. Raises
    AdminRefusal if a single service is to be online while its host as a whole is not.
    """
    admin: Mapping[Place, Admin] = status.admin
    if place.service is None:
        kept = {p: s for p, s in admin.items() if p.host != place.host}
    else:
        whole = admin.get(Place(place.host), Admin.ONLINE)
        if state is Admin.ONLINE and whole is not Admin.ONLINE:
            raise AdminRefusal(
                f"host {place.host} as a whole is in {whole}; bring it back with 'willis online {place.host}'"
            )
        kept = {p: s for p, s in admin.items() if p != place}
    if state is not Admin.ONLINE:
        kept[place] = state
    return replace(status, admin=kept)


def left_without(config: Config, old: Status, new: Status) -> tuple[str, ...]:
    """The services that have a server for new connections under ``old`` and none under ``new``."""
    return tuple(
        service.name
        for service in config.services
        if any(m.takes_new for m in members(service, old))
        and not any(m.takes_new for m in members(service, new))
    )
